/**
 * The `run` section of a process: what may be declared, and its frozen form.
 *
 * Promises: every problem is told with its path; what passes has every default written out, so that a later default
 * changes nothing that was declared before (L78).
 */
import { constants } from 'node:os';
import type { Json, JsonObject, Spec } from '../../core/model.ts';
import { formatDuration, parseDuration } from '../../core/units.ts';
import {
  ARGUMENT_BYTES,
  COMMAND_ITEMS,
  ENV_ITEMS,
  PORT_ITEMS,
  STOP_TIMEOUT_DEFAULT_MS,
  STOP_TIMEOUT_MAX_MS,
} from './limits.ts';

/** A frozen `run` section. */
export interface ProcessRun {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: { readonly [name: string]: string };
  readonly stopSignal: NodeJS.Signals;
  readonly stopTimeoutMs: number;
  readonly ports: readonly number[];
}

export interface Problem {
  readonly path: string;
  readonly message: string;
}

/** Names that Holdfast itself sets; a declared one would make an agent look like another. */
export const RESERVED_PREFIX = 'HOLDFAST_';

const KEYS = ['command', 'cwd', 'env', 'stopSignal', 'stopTimeout', 'ports'];

export function freezeRun(
  raw: JsonObject,
): { ok: true; run: JsonObject } | { ok: false; problems: readonly Problem[] } {
  const problems: Problem[] = [];
  for (const key of Object.keys(raw)) {
    if (!KEYS.includes(key)) problems.push({ path: key, message: `unknown key; a process knows ${KEYS.join(', ')}` });
  }
  const run = {
    command: command(raw['command'], problems),
    cwd: cwd(raw['cwd'], problems),
    env: environment(raw['env'], problems),
    stopSignal: stopSignal(raw['stopSignal'], problems),
    stopTimeoutMs: stopTimeout(raw['stopTimeout'], problems),
    ports: ports(raw['ports'], problems),
  };
  return problems.length === 0 ? { ok: true, run } : { ok: false, problems };
}

/** The frozen section of a spec that `freezeRun` made. Of an orphan nothing is declared any more: it is ended as by default. */
export function runOf(spec: Spec): ProcessRun {
  return { ...UNDECLARED, ...(spec.run as unknown as ProcessRun) };
}

const UNDECLARED: ProcessRun = {
  command: [],
  cwd: '/',
  env: {},
  stopSignal: 'SIGTERM',
  stopTimeoutMs: STOP_TIMEOUT_DEFAULT_MS,
  ports: [],
};

/** What needs a respawn when it changes. How to stop is read from the spec at the time of the stop. */
export function infraOf(spec: Spec): JsonObject {
  const { command, cwd, env, ports } = spec.run;
  return { command: command ?? [], cwd: cwd ?? '/', env: env ?? {}, ports: ports ?? [], lifecycle: spec.lifecycle };
}

function command(raw: Json | undefined, problems: Problem[]): readonly string[] {
  if (!isList(raw) || raw.length === 0) {
    problems.push({ path: 'command', message: 'must be a non-empty list of strings, like [node, agent.js]' });
    return [];
  }
  if (raw.length > COMMAND_ITEMS) problems.push({ path: 'command', message: `has more than ${COMMAND_ITEMS} items` });
  const items: string[] = [];
  for (const [at, item] of raw.entries()) {
    const path = `command[${at}]`;
    if (typeof item !== 'string') problems.push({ path, message: 'must be a string (put it in quotes)' });
    else if (at === 0 && item === '') problems.push({ path, message: 'must name a program' });
    else if (fits(item, path, problems)) items.push(item);
  }
  return items;
}

function cwd(raw: Json | undefined, problems: Problem[]): string {
  if (raw === undefined) return '/';
  if (typeof raw === 'string' && raw.startsWith('/') && fits(raw, 'cwd', problems)) return raw;
  if (typeof raw !== 'string' || !raw.startsWith('/')) {
    problems.push({ path: 'cwd', message: 'must be an absolute path' });
  }
  return '/';
}

function environment(raw: Json | undefined, problems: Problem[]): { readonly [name: string]: string } {
  if (raw === undefined) return {};
  if (!isObject(raw)) {
    problems.push({ path: 'env', message: 'must map names to strings' });
    return {};
  }
  const entries = Object.entries(raw);
  if (entries.length > ENV_ITEMS) problems.push({ path: 'env', message: `has more than ${ENV_ITEMS} entries` });
  const env: { [name: string]: string } = {};
  for (const [name, value] of entries) {
    const path = `env.${name}`;
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      problems.push({ path, message: 'a name consists of letters, digits and _, and does not begin with a digit' });
    } else if (name.startsWith(RESERVED_PREFIX)) {
      problems.push({ path, message: `names that begin with ${RESERVED_PREFIX} are set by Holdfast itself` });
    } else if (typeof value !== 'string') {
      problems.push({ path, message: 'must be a string (put it in quotes)' });
    } else if (fits(`${name}=${value}`, path, problems)) {
      env[name] = value;
    }
  }
  return env;
}

function stopSignal(raw: Json | undefined, problems: Problem[]): NodeJS.Signals {
  if (raw === undefined) return 'SIGTERM';
  if (typeof raw === 'string' && isSignal(raw)) return raw;
  problems.push({ path: 'stopSignal', message: 'must be the name of a signal, like SIGTERM or SIGINT' });
  return 'SIGTERM';
}

/** A signal that ends or can be caught; one that only pauses would never stop anything. */
function isSignal(name: string): name is NodeJS.Signals {
  return name in constants.signals && !['SIGSTOP', 'SIGTSTP', 'SIGCONT', 'SIGTTIN', 'SIGTTOU'].includes(name);
}

function stopTimeout(raw: Json | undefined, problems: Problem[]): number {
  if (raw === undefined) return STOP_TIMEOUT_DEFAULT_MS;
  const ms = typeof raw === 'string' ? parseDuration(raw) : null;
  if (ms !== null && ms <= STOP_TIMEOUT_MAX_MS) return ms;
  const most = formatDuration(STOP_TIMEOUT_MAX_MS);
  const message =
    ms === null ? `must be a duration with its unit, like 30s; at most ${most}` : `must be at most ${most}`;
  problems.push({ path: 'stopTimeout', message });
  return STOP_TIMEOUT_DEFAULT_MS;
}

function ports(raw: Json | undefined, problems: Problem[]): readonly number[] {
  if (raw === undefined) return [];
  if (!isList(raw)) {
    problems.push({ path: 'ports', message: 'must be a list of port numbers' });
    return [];
  }
  if (raw.length > PORT_ITEMS) problems.push({ path: 'ports', message: `has more than ${PORT_ITEMS} items` });
  const found: number[] = [];
  for (const [at, port] of raw.entries()) {
    const path = `ports[${at}]`;
    if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
      problems.push({ path, message: 'must be a port number, 1 to 65535' });
    } else if (found.includes(port)) {
      problems.push({ path, message: `${port} is declared twice` });
    } else {
      found.push(port);
    }
  }
  return found;
}

function fits(text: string, path: string, problems: Problem[]): boolean {
  if (text.includes('\0')) problems.push({ path, message: 'must not contain a NUL character' });
  else if (Buffer.byteLength(text) > ARGUMENT_BYTES) {
    problems.push({ path, message: `is longer than the ${ARGUMENT_BYTES} bytes that a kernel accepts` });
  } else return true;
  return false;
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
