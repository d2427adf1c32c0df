/**
 * Combinations that cannot be: each value is fine alone, together they contradict. Run on an instance after its layers
 * are merged; every sentence says what is wrong and what to do.
 */
import { DEFAULT_SILENT_AFTER_MS } from '../limits.ts';
import type { JsonObject } from '../model.ts';
import { parseDuration } from '../units.ts';
import type { TargetTypeInfo } from './context.ts';
import type { Path } from './problems.ts';
import type { InstanceDocument } from './schema.ts';

export type FailAt = (path: Path, message: string) => void;

export function checkCombinations(
  document: InstanceDocument,
  type: TargetTypeInfo,
  allowRelative: boolean,
  fail: FailAt,
): void {
  checkLifecycle(document, type, fail);
  if (type.type === 'external') checkExternal(document, fail);
  if (type.type === 'process') checkHostPaths(document.run ?? {}, allowRelative, fail);
  checkHealth(document, type, fail);
  checkLiveness(document, fail);
  checkExpose(document, type, fail);
}

/** "./x", "x/y", "" — anything but an absolute path, of either kind of system. */
export function isRelativePath(path: string): boolean {
  return !path.startsWith('/') && !/^[A-Za-z]:[\\/]/.test(path);
}

export const RELATIVE_WORDS =
  'a relative path means nothing here: relative paths are resolved by the CLI, refused over HTTP';

function checkLifecycle(document: InstanceDocument, type: TargetTypeInfo, fail: FailAt): void {
  const lifecycle = document.lifecycle ?? 'hot';
  if (!type.lifecycles.includes(lifecycle)) {
    fail(
      ['lifecycle'],
      `a target of type ${type.type} has no ${lifecycle} instances, only ${type.lifecycles.join(' or ')} ones`,
    );
  }
  if (document.idleAfter !== undefined && lifecycle === 'hot') {
    fail(['idleAfter'], 'a hot instance never sleeps: say lifecycle: lazy, or remove idleAfter');
  }
}

/** Nothing of ours runs there: its heartbeats are all that is known of it. */
function checkExternal(document: InstanceDocument, fail: FailAt): void {
  const nothing = 'whoever runs an external instance decides that, not Holdfast';
  if (document.run !== undefined) fail(['run'], `an external instance has no run: ${nothing}`);
  if (document.health !== undefined) fail(['health'], 'an external instance has no health to ask: its heartbeat tells');
  if (document.expose !== undefined && document.expose.length > 0) {
    fail(['expose'], 'an external instance cannot be exposed: the proxy has no address for it');
  }
  if (document.heartbeat === undefined) {
    fail([], 'missing heartbeat: without one, nothing is ever known of an external instance');
  }
}

function checkHostPaths(
  run: JsonObject | { readonly [key: string]: unknown },
  allowRelative: boolean,
  fail: FailAt,
): void {
  const { cwd, command } = run;
  if (typeof cwd === 'string' && isRelativePath(cwd) && !allowRelative) fail(['run', 'cwd'], RELATIVE_WORDS);
  const first: unknown = Array.isArray(command) ? command[0] : undefined;
  if (typeof first === 'string' && first.includes('/') && isRelativePath(first) && cwd === undefined) {
    fail(['run', 'command', 0], 'a relative path to a program is found from run.cwd, which is missing');
  }
}

function checkHealth({ health }: InstanceDocument, type: TargetTypeInfo, fail: FailAt): void {
  if (health === undefined || type.type === 'external') return;
  if ((health.http === undefined) === (health.engine === undefined)) {
    fail(
      ['health'],
      'say how it is asked: either http (Holdfast asks the agent) or engine: true (its engine checks it)',
    );
  }
  if (health.engine === true && type.health !== true) {
    fail(['health', 'engine'], `a target of type ${type.type} has no engine that checks it: say http`);
  }
}

function checkLiveness(document: InstanceDocument, fail: FailAt): void {
  for (const section of ['heartbeat', 'health'] as const) {
    const { every, silentAfter } = document[section] ?? {};
    if (every === undefined || silentAfter === undefined) continue;
    if (parseDuration(silentAfter)! < parseDuration(every)!) {
      fail(
        [section, 'silentAfter'],
        `${silentAfter} is shorter than every: ${every}, so it would be silent all the time`,
      );
    }
  }
}

/** Three missed ones in a row at least, and never below the default. */
export function defaultSilentAfterMs(everyMs: number): number {
  return Math.max(DEFAULT_SILENT_AFTER_MS, 3 * everyMs);
}

function checkExpose(document: InstanceDocument, type: TargetTypeInfo, fail: FailAt): void {
  const ports = declaredPorts(document.run?.['ports']);
  const seen = new Map<string, number>();
  for (const [i, { port, path }] of (document.expose ?? []).entries()) {
    const earlier = seen.get(path);
    if (earlier !== undefined) fail(['expose', i, 'path'], `said twice: expose[${earlier}] has this path already`);
    else seen.set(path, i);
    // A process listens on its host; elsewhere a port that is not published cannot be reached.
    const unpublished = ports === null ? false : ports.length > 0 || type.type !== 'process';
    if (unpublished && type.type !== 'external' && !ports!.includes(port)) {
      fail(['expose', i, 'port'], `port ${port} is not in run.ports, so nothing could reach it`);
    }
  }
}

/** Ports inside, whichever way they are written; null when a form is not known here and the target's type must judge. */
function declaredPorts(raw: unknown): readonly number[] | null {
  if (raw === undefined) return [];
  if (!Array.isArray(raw)) return null;
  const ports: number[] = [];
  for (const entry of raw as readonly unknown[]) {
    const port = portInside(entry);
    if (port === null) return null;
    ports.push(port);
  }
  return ports;
}

function portInside(entry: unknown): number | null {
  if (typeof entry === 'number') return entry;
  if (typeof entry === 'string') {
    const found = /(?:^|:)(\d{1,5})(?:\/tcp)?$/.exec(entry);
    return found === null ? null : Number(found[1]);
  }
  const inside: unknown = typeof entry === 'object' && entry !== null && 'container' in entry ? entry.container : null;
  return typeof inside === 'number' ? inside : null;
}
