/**
 * What the engine says of a container, in the words of the port. Every state that it has is mapped:
 *
 *   running → running · created, exited, dead → stopped · paused → stopped (start unpauses) · restarting, removing → changing
 *
 * A life is named by container and start. A container that never ran has none.
 */
import type { ContainerInspectInfo } from 'dockerode';
import { constants } from 'node:os';
import type { Exit, JsonObject, Look } from '../../core/model.ts';
import { infraIn } from './labels.ts';

export const MISSING: Look = {
  state: 'missing',
  ref: null,
  incarnation: null,
  infra: null,
  exit: null,
  restarts: 0,
  attrs: {},
};

const NEVER = '0001-01-01T00:00:00Z';

export interface Seen {
  readonly info: ContainerInspectInfo;
  /** The name it was made under: what holds one resource apart from another, even after somebody renamed it. */
  readonly ref: string;
  /** How the engine's host is reached. */
  readonly host: string;
  /** Last words of the life that ended. */
  readonly output: string | null;
  /** A life whose end was told already: while the engine waits to begin another, there is none (never "that one runs"). */
  readonly told: string | null;
  /** Other containers that carry the same uid. */
  readonly doubles: readonly string[];
}

export function lookOf({ info, ref, host, output, told, doubles }: Seen): Look {
  const { State: state, Name, Id: containerId } = info;
  const kind = stateOf(info);
  const incarnation = incarnationOf(info);
  const attrs: { [name: string]: JsonObject[string] } = { containerId, image: info.Image };
  if (kind === 'running') attrs['endpoints'] = endpoints(info, host);
  if (state.Paused) attrs['paused'] = true;
  if (Name.slice(1) !== ref) attrs['name'] = Name.slice(1);
  if (kind === 'stopped' && state.Error !== '') attrs['error'] = state.Error;
  if (kind === 'running' && healthIn(info) !== null) attrs['health'] = healthIn(info);
  if (doubles.length > 0) attrs['doubles'] = doubles;
  return {
    state: kind,
    ref,
    incarnation: kind === 'changing' && incarnation === told ? null : incarnation,
    infra: infraIn(info.Config.Labels),
    exit: kind === 'stopped' ? exitOf(info, output) : null,
    restarts: info.RestartCount,
    attrs,
  };
}

function stateOf({ State: state }: ContainerInspectInfo): Look['state'] {
  switch (state.Status) {
    case 'running':
      return 'running';
    case 'restarting':
    case 'removing':
      return 'changing';
    default:
      return 'stopped';
  }
}

/** What the engine's own check says: starting, healthy, unhealthy; null where it has none. */
export function healthIn({ State: { Health } }: ContainerInspectInfo): string | null {
  const status = Health?.Status ?? 'none';
  return status === 'none' ? null : status;
}

/** `null` for a container that never ran. */
export function incarnationOf({ Id, State: { StartedAt } }: ContainerInspectInfo): string | null {
  return StartedAt === NEVER || StartedAt === '' ? null : `${Id.slice(0, 12)}:${StartedAt}`;
}

/** When a life began, as the engine told it. */
export const startIn = (incarnation: string): string => incarnation.slice(incarnation.indexOf(':') + 1);

/** How the last life ended; null while there is none that has. */
export function exitOf({ State: state }: ContainerInspectInfo, output: string | null): Exit | null {
  if (state.StartedAt === NEVER || state.Paused || (state.Running && !state.Restarting)) return null;
  return exitWith(state.ExitCode, state.OOMKilled, output);
}

/** The engine tells a signal only as 128 + its number. */
export function exitWith(code: number, oom: boolean, output: string | null): Exit {
  const signal = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0] ?? null;
  return { code, signal, oom, output };
}

/**
 * When output of the present (or last) life can begin, as the engine counts seconds; null: with the container itself.
 *
 * While it runs, the end before it is known exactly. Once it has ended, both stamps are its own, and for one that ends at once
 * the end may be stamped first: the engine stamps a start only after it has begun it.
 */
export function lifeBegan(
  { State: { StartedAt, FinishedAt, Running, Restarting } }: ContainerInspectInfo,
  startStampMs: number,
): string | null {
  if (StartedAt === NEVER) return null;
  if (Running && !Restarting) return FinishedAt === NEVER ? null : stamp(FinishedAt, 0);
  return stamp(FinishedAt !== NEVER && FinishedAt < StartedAt ? FinishedAt : StartedAt, startStampMs);
}

/** "2026-01-01T00:00:00.123456789Z" → "1767225600.123456789", less so many milliseconds. */
export function stamp(iso: string, lessMs: number): string {
  const nanos = (/\.(\d{1,9})/.exec(iso)?.[1] ?? '').padEnd(9, '0');
  const whole =
    BigInt(Math.floor(Date.parse(iso.replace(/\.\d+/, '')) / 1_000)) * 1_000_000_000n +
    BigInt(nanos) -
    BigInt(lessMs) * 1_000_000n;
  return `${whole / 1_000_000_000n}.${String(whole % 1_000_000_000n).padStart(9, '0')}`;
}

function endpoints({ NetworkSettings }: ContainerInspectInfo, host: string): JsonObject {
  const found: { [port: string]: string } = {};
  // Absent or null for a port that is exposed, but not published.
  const ports = NetworkSettings.Ports as { [port: string]: { HostIp: string; HostPort: string }[] | null };
  for (const port of Object.keys(ports).sort()) {
    const [at] = ports[port] ?? [];
    if (at === undefined) continue;
    const address = at.HostIp === '0.0.0.0' || at.HostIp === '::' || at.HostIp === '' ? host : at.HostIp;
    found[port.replace(/\/tcp$/, '')] = `${address.includes(':') ? `[${address}]` : address}:${at.HostPort}`;
  }
  return found;
}
