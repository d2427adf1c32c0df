/** One thing on a simulated authority, and the agent in it. */
import type { Exit, InstalledPlugin, Look, Spec } from '../../src/core/model.ts';

/** What was delivered to the disk that an instance starts from; it outlives the resource, as a volume does. */
export interface Disk {
  config: { readonly hash: string | null; readonly unusable: boolean };
  /** Writes so far: one that was asked before another came is refused, as an optimistic write is. */
  writes: number;
  readonly plugins: Map<string, InstalledPlugin>;
}

/** How the agent behaves in its present life. */
export interface AgentMood {
  /** Neither beats nor answers. */
  wedged: boolean;
  /** Works and answers probes, but its beats do not arrive. */
  mute: boolean;
  /** Beats, but its health answers "not well". */
  sick: boolean;
  degraded: boolean;
  busy: boolean;
}

export const WELL: AgentMood = { wedged: false, mute: false, sick: false, degraded: false, busy: false };

export interface SimResource {
  readonly fleet: string;
  readonly instance: string;
  readonly uid: string;
  state: 'running' | 'stopped' | 'changing';
  incarnation: string | null;
  infra: string;
  image: string;
  /** The secret that it was started with; it tells everybody. */
  key: string | null;
  exit: Exit | null;
  restarts: number;
  /** Frozen by somebody: shown stopped, without an exit; the same life may go on. */
  paused: boolean;
  /** The authority restarts it by itself when it ends. */
  restarted: boolean;
  /** How long it waits before it does so next, ms: doubled each time, as an engine does. */
  restartsInMs: number;
  /** Exit 0 is the end of its work, and nobody restarts it. */
  completes: boolean;
  /** The config that the running agent has in force. */
  inForce: string | null;
  agent: AgentMood;
  /** Since when the agent has been as it is (its state or mood changed then). */
  since: number;
  readonly disk: Disk;
}

export const GONE: Look = {
  state: 'missing',
  ref: null,
  incarnation: null,
  infra: null,
  exit: null,
  restarts: 0,
  attrs: {},
};

export function lookAt(resource: SimResource, ref: string): Look {
  const { state, incarnation, infra, exit, restarts, paused } = resource;
  return { state: paused ? 'stopped' : state, ref, incarnation, infra, exit, restarts, attrs: {} };
}

export const isAlive = (resource: SimResource): boolean => resource.state === 'running' && !resource.paused;

/** Exits, roughly as often as in the field. */
export const EXITS: readonly Exit[] = [
  { code: 1, signal: null, oom: false, output: 'last words' },
  { code: 1, signal: null, oom: false, output: 'last words' },
  { code: 2, signal: null, oom: false, output: null },
  { code: 0, signal: null, oom: false, output: 'done' },
  { code: null, signal: 'SIGKILL', oom: false, output: null },
  { code: null, signal: 'SIGKILL', oom: true, output: null },
  { code: null, signal: 'SIGSEGV', oom: false, output: null },
  { code: 78, signal: null, oom: false, output: 'bad config' },
  // As of a process whose parent, the control plane, is gone: nobody can know.
  { code: null, signal: null, oom: false, output: 'last words' },
];

export const exitOf = (code: number): Exit => ({ code, signal: null, oom: false, output: 'last words' });
/** How a resource ends that does as it is told. */
export const OBEYED: Exit = { code: 0, signal: null, oom: false, output: null };

export const keyOf = ({ run }: Spec): string | null => (run['env'] as { KEY?: string } | undefined)?.KEY ?? null;

/** What is to be run, in the words of the simulated targets. */
export const imageOf = ({ run }: Spec): string => (typeof run.image === 'string' ? run.image : '');
