/**
 * What a heartbeat says, and what of it is news: a few facts on transitions, none while nothing changes.
 */
import type { EventData, NewEvent } from '../core/events.ts';
import { MESSAGE_CHARS } from '../core/limits.ts';
import type { Instance } from '../core/model.ts';
import { DEGRADED_ERROR_RATE, RECOVERED_ERROR_RATE } from './limits.ts';

/** What a heartbeat may say (DESIGN §8); everything is optional. */
export interface Beat {
  /** `degraded` and `wedged` say that it is not well; any other word says that it is. */
  readonly status?: string;
  readonly message?: string;
  /** Share of what it did lately that failed, 0–1. */
  readonly errorRate?: number;
  readonly activeTasks?: number;
  readonly version?: string;
  /** A counter of progress, of the agent's own choosing: busy while it stands still is reported (L07). */
  readonly work?: number;
  readonly configHash?: string;
  readonly usage?: { readonly tokens?: number; readonly usd?: number };
}

/** The last beat of one agent, and where it belongs. */
export interface Heard {
  readonly atMono: number;
  /** Fleet time. */
  readonly at: number;
  readonly beat: Beat;
  /** Was it seen running when it beat, and in which life? */
  ran: boolean;
  life: string | null;
  /** It can only come from the life that the operation in flight was beginning (the `operations`-th one). */
  early: boolean;
  readonly operations: number;
  /** Since when `work` has stood where it stands. */
  readonly workSinceMono: number;
  /** How long it has been busy without progress, if that is too long. */
  readonly stalledMs: number | null;
  /** In this life it was called degraded for that before. */
  readonly stalledBefore: boolean;
  reportedMono: number;
  /** It came too soon after its last news; the next look takes it up. */
  unjudged: boolean;
}

type Report = EventData['agent.reported'];

export const reported = (inst: Instance, data: Report): NewEvent => ({
  type: 'agent.reported',
  instance: inst.name,
  uid: inst.uid,
  data,
});

/** What this beat changes, compared with what is folded. */
export function factsOf(inst: Instance, heard: Heard): readonly NewEvent[] {
  if (inst.desired !== 'running' || !speaksForThisLife(inst, heard)) return NOTHING;
  const { agent } = inst;
  const { beat } = heard;
  const facts: Report[] = [];
  if (agent === null || agent.heard === 'never') facts.push({ report: 'first' });
  else if (agent.heard === 'silent') facts.push({ report: 'recovered' });
  const complaint = complaintOf(heard);
  if (complaint !== null && agent?.degraded == null)
    facts.push({ report: 'degraded', message: complaint.slice(0, MESSAGE_CHARS) });
  if (complaint === null && agent?.degraded != null && isWellAgain(heard)) facts.push({ report: 'well' });
  const busy = beat.activeTasks === undefined ? (agent?.busy ?? false) : beat.activeTasks > 0;
  if (busy !== (agent?.busy ?? false)) facts.push({ report: busy ? 'busy' : 'idle' });
  if (beat.version !== undefined && beat.version !== agent?.version)
    facts.push({ report: 'version', version: beat.version });
  return facts.length === 0 ? NOTHING : facts.map((data) => reported(inst, data));
}

const NOTHING: readonly NewEvent[] = [];

/** One that runs elsewhere has no lives that we know of; else it must come from the one that is seen running now. */
export function speaksForThisLife(inst: Instance, heard: Heard): boolean {
  if (inst.spec.targetType === 'external') return true;
  if (inst.resource?.state !== 'running') return false;
  if (heard.ran && heard.life === inst.resource.incarnation) return true;
  return heard.early && inst.operation === null && inst.operations === heard.operations;
}

/** Why this beat is not that of a healthy agent; null: it is. */
function complaintOf({ beat, stalledMs }: Heard): string | null {
  if (beat.status === 'degraded') return beat.message ?? 'it gave no reason';
  if (beat.status === 'wedged') return `wedged: ${beat.message ?? 'it gave no reason'}`;
  if (beat.errorRate !== undefined && beat.errorRate >= DEGRADED_ERROR_RATE)
    return `its error rate is ${Math.round(beat.errorRate * 100)} %${beat.message === undefined ? '' : `: ${beat.message}`}`;
  if (stalledMs === null) return null;
  return `it is busy, and its work has stood at ${beat.work} for ${Math.round(stalledMs / 1_000)} s`;
}

/** A beat that says nothing of how it is takes back only what we found ourselves. */
function isWellAgain({ beat, stalledBefore }: Heard): boolean {
  if (beat.errorRate !== undefined) return beat.errorRate < RECOVERED_ERROR_RATE;
  return beat.status !== undefined || stalledBefore;
}
