/**
 * Every wait on the outside goes through here: it ends in time, whether or not the other side honours its signal.
 */
import type { Clock } from '../ports/clock.ts';

export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/**
 * Runs `work` under a signal that aborts after `ms` or with `outer`. Rejects with `DeadlineError` at the deadline even if
 * `work` never settles; what it does later is nobody's business any more.
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  const controller = new AbortController();
  let cancel: () => void = () => undefined;
  let onOuter: () => void = () => undefined;
  const ended = new Promise<never>((_, reject) => {
    const end = (error: Error): void => {
      controller.abort(error);
      reject(error);
    };
    cancel = clock.after(ms, () => end(new DeadlineError(`${what} did not end within ${ms} ms`)));
    onOuter = () => end(new DeadlineError(`${what} was called off`));
    if (outer?.aborted === true) onOuter();
    else outer?.addEventListener('abort', onOuter, { once: true });
  });
  try {
    // Called in here, for it may throw at once: then nobody would read the rejection of the deadline either.
    const running = work(controller.signal);
    // If the deadline wins, a later rejection of the work has no reader.
    running.catch(() => undefined);
    return await Promise.race([running, ended]);
  } finally {
    cancel();
    outer?.removeEventListener('abort', onOuter);
  }
}
