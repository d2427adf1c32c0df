/**
 * Answers that last: logs that are followed, events as they happen.
 *
 * Promises:
 *  1. The reader sets the pace: nothing is taken from the source before the last chunk was taken from us.
 *  2. It ends promptly, and its source with it, when the client goes, the server closes, the token is void or the reader
 *     has stopped reading; `ended` is called exactly once.
 *  3. A break is never mistaken for an end: it is said in the format's own words, or the connection is cut.
 */
import type { Clock } from '../ports/clock.ts';
import { STALLED_BEATS } from './limits.ts';
import { Problem } from './problem.ts';
import type { StreamSource } from './route.ts';

export interface StreamContext {
  readonly clock: Clock;
  readonly beatMs: number;
  /** The life of the request; aborting it ends the stream, ending the stream aborts it. */
  readonly life: AbortController;
  /** Whether the token still holds; asked on every beat. */
  allowed(): Promise<boolean>;
  /** Turns what the source threw into what may be told. */
  problem(error: unknown): Problem;
  /** Destroys the connection. */
  cut(): void;
  ended(): void;
}

export function flow(source: StreamSource, context: StreamContext): ReadableStream<Uint8Array> {
  const { life } = context;
  const iterator = source.chunks[Symbol.asyncIterator]();
  let finished = false;
  let cancelBeat: () => void = () => undefined;
  let pulls = 0;
  let pullsAtBeat = -1;
  let stalled = 0;

  const finish = (): boolean => {
    if (finished) return false;
    finished = true;
    cancelBeat();
    life.abort();
    // A source that is already broken may complain about being closed; its own error was told before.
    iterator.return?.().catch(() => undefined);
    context.ended();
    return true;
  };
  const close = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    if (finish()) controller.close();
  };
  const breakOff = (controller: ReadableStreamDefaultController<Uint8Array>, problem: Problem): void => {
    if (!finish()) return;
    if (source.lastWords === null) context.cut();
    else controller.enqueue(source.lastWords(problem));
    controller.close();
  };

  const beat = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    if (finished) return;
    const full = (controller.desiredSize ?? 0) <= 0;
    stalled = full && pulls === pullsAtBeat ? stalled + 1 : 0;
    pullsAtBeat = pulls;
    if (stalled >= STALLED_BEATS) {
      finish();
      context.cut();
      return;
    }
    if (!full && source.beat !== null) controller.enqueue(source.beat);
    context.allowed().then(
      (allowed) => {
        if (allowed) arm(controller);
        else breakOff(controller, new Problem('unauthorized', 'The token has expired or was dropped.'));
      },
      // L71: who cannot be asked about does not stay.
      (error: unknown) => breakOff(controller, context.problem(error)),
    );
  };
  const arm = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    if (!finished) cancelBeat = context.clock.after(context.beatMs, () => beat(controller));
  };

  return new ReadableStream<Uint8Array>({
    start(controller) {
      if (source.opening !== null) controller.enqueue(source.opening);
      life.signal.addEventListener('abort', () => close(controller), { once: true });
      arm(controller);
      if (life.signal.aborted) close(controller);
    },
    async pull(controller) {
      pulls++;
      try {
        const next = await iterator.next();
        if (finished) return;
        if (next.done === true) close(controller);
        else controller.enqueue(next.value);
      } catch (error) {
        if (!finished) breakOff(controller, context.problem(error));
      }
    },
    cancel() {
      finish();
    },
  });
}
