/**
 * The events of a fleet as they are written, over a connection that may break: opened again where it broke off, so that
 * nothing is missed and nothing comes twice.
 */
import type { EventView } from '../runtime/api.ts';
import { ProblemFailure, Unreachable, type Problem } from './failure.ts';
import { QUIET_MS, REOPEN_FIRST_MS, REOPEN_LAST_MS } from './limits.ts';
import { readFrames } from './sse.ts';
import type { Transport } from './transport.ts';

export interface Watch {
  /** The last event that is known already. */
  readonly after: number;
  /** Told once for each time that the connection is lost. */
  readonly onCut: () => Promise<void>;
  readonly until: AbortSignal;
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Ends only by throwing: what `until` was aborted with, or a problem that trying again cannot mend. */
export async function* watchEvents(transport: Transport, path: string, watch: Watch): AsyncGenerator<EventView> {
  const { onCut, until, delay } = watch;
  let last = watch.after;
  let pauseMs = REOPEN_FIRST_MS;
  for (;;) {
    try {
      for await (const event of watchOnce(transport, path, last, until)) {
        if (event.seq <= last) continue;
        last = event.seq;
        pauseMs = REOPEN_FIRST_MS;
        yield event;
      }
    } catch (error) {
      if (!passes(error)) throw error;
    }
    until.throwIfAborted();
    if (pauseMs === REOPEN_FIRST_MS) await onCut();
    await delay(pauseMs, until);
    pauseMs = Math.min(2 * pauseMs, REOPEN_LAST_MS);
  }
}

async function* watchOnce(
  transport: Transport,
  path: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<EventView> {
  const headers = { accept: 'text/event-stream', 'last-event-id': String(after) };
  for await (const frame of readFrames(transport.stream(path, { headers, signal }, QUIET_MS))) {
    // The server's last words: why it ends the stream.
    if (frame.event === 'problem') throw new ProblemFailure(JSON.parse(frame.data) as Problem);
    yield JSON.parse(frame.data) as EventView;
  }
}

/** A server that restarts or has too much to do is worth another try; one that refuses us is not. */
function passes(error: unknown): boolean {
  if (error instanceof ProblemFailure) return error.problem.status === 429 || (error.problem.status ?? 0) >= 500;
  return error instanceof Unreachable;
}
