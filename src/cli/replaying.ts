/** A replay as the server tells it: how far it is, now and then, and then what came of it, or why nothing did. */
import type { Json, JsonObject } from '../core/model.ts';
import type { Replayed } from '../core/replay.ts';
import type { ReplayProgress } from '../runtime/api.ts';
import { ProblemFailure, Unreachable, type Problem } from './failure.ts';
import { QUIET_MS } from './limits.ts';
import { readFrames } from './sse.ts';
import type { Transport } from './transport.ts';

/** As the route takes it; what is left out is as it was recorded. */
export interface ReplayBody {
  readonly from?: number | string;
  readonly to?: number | string;
  readonly instance?: string;
  /** In the words of a manifest. */
  readonly policy?: Json;
  readonly edits?: readonly ({ readonly drop: number } | { readonly seq: number; readonly data: JsonObject })[];
  readonly skip?: number;
}

/** What the route answers: the replay, with times in words. */
export interface ReplayAnswer extends Omit<Replayed, 'actions' | 'recorded'> {
  readonly from: string;
  readonly to: string;
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly snapshotSeq: number;
}

export async function narratedReplay(
  transport: Transport,
  path: string,
  body: ReplayBody,
  tell: (progress: ReplayProgress) => Promise<void>,
): Promise<ReplayAnswer> {
  const call = { json: body as Json, headers: { accept: 'text/event-stream' } };
  for await (const { event, data } of readFrames(transport.stream(path, call, QUIET_MS, 'POST'))) {
    if (event === 'progress') await tell(JSON.parse(data) as ReplayProgress);
    else if (event === 'result') return JSON.parse(data) as ReplayAnswer;
    else if (event === 'problem') throw new ProblemFailure(JSON.parse(data) as Problem);
  }
  throw new Unreachable('cut', 'the server ended before the replay did; ask again');
}
