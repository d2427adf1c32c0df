/**
 * An answer that takes its time, as server-sent events: `progress` while it is being made, then `result`, or `problem`.
 *
 * The reader sets the pace: of several steps that it did not take, only the newest is kept.
 */
import type { StreamSource } from './route.ts';
import { bytes, lastWords } from './sse.ts';

/** Makes the answer, and tells of each step on the way. */
type Narrated = (tell: (progress: unknown) => void) => Promise<unknown>;

export function narrated(work: Narrated): StreamSource {
  return {
    chunks: narrate(work),
    opening: bytes(': working\n\n'),
    beat: bytes(': still working\n\n'),
    lastWords,
  };
}

async function* narrate(work: Narrated): AsyncGenerator<Uint8Array> {
  let newest: unknown = null;
  let news = Promise.withResolvers<void>();
  const working = work((progress) => {
    newest = progress;
    news.resolve();
  });
  const over = working.then(
    () => true,
    () => true,
  );
  for (;;) {
    const ended = await Promise.race([over, news.promise.then(() => false)]);
    if (ended) break;
    const progress = newest;
    newest = null;
    news = Promise.withResolvers<void>();
    yield frame('progress', progress);
  }
  yield frame('result', await working);
}

const frame = (event: string, data: unknown): Uint8Array => bytes(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
