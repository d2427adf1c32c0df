/**
 * What a record says, in the words of the port. A life keeps its incarnation after its end, so that an end can be told
 * of the life it belongs to.
 *
 * A process stopped by SIGSTOP is `running`: it lives, and holds what it holds. Its silence is what gives it away.
 */
import type { Exit, JsonObject, Look } from '../../core/model.ts';
import type { RawExit } from './children.ts';
import { outputBefore } from './logs.ts';
import type { Life, ProcessRecord } from './records.ts';

export const MISSING: Look = {
  state: 'missing',
  ref: null,
  incarnation: null,
  infra: null,
  exit: null,
  restarts: 0,
  attrs: {},
};

export function lookOf(record: ProcessRecord): Look {
  const base = { ref: `process/${record.uid}`, infra: record.infra, exit: null, restarts: 0, attrs: {} };
  const { life } = record;
  switch (life?.state) {
    case undefined:
      return { ...base, state: 'stopped', incarnation: null };
    case 'spawning':
      return { ...base, state: 'changing', incarnation: null };
    case 'running': {
      const attrs = { pid: life.pid, endpoints: endpoints(record.ports) };
      return { ...base, state: 'running', incarnation: incarnationOf(life), attrs };
    }
    case 'ended':
      return { ...base, state: 'stopped', incarnation: life.incarnation, exit: exitOf(record.log, life) };
  }
}

/** One life of one process on one boot of this host. */
export function incarnationOf(life: { readonly pid: number; readonly start: string; readonly boot: string }): string {
  return life.boot === '' ? `${life.pid}:${life.start}` : `${life.pid}:${life.start}:${life.boot.slice(0, 8)}`;
}

/** The end of a process that was not our child: the kernel told its code to somebody else. */
export const UNKNOWN_EXIT: RawExit = { code: null, signal: null };

/** Its last words are read from its log, which is still its own: only the next life moves it aside. */
function exitOf(log: string, { exit, logEnd }: Life & { readonly state: 'ended' }): Exit {
  return { code: exit.code, signal: exit.signal, oom: false, output: outputBefore(log, logEnd) };
}

/** On the host itself a port is reached where the agent listens. */
function endpoints(ports: readonly number[]): JsonObject {
  return Object.fromEntries(ports.map((port) => [String(port), `127.0.0.1:${port}`]));
}
