/**
 * Waiting that always ends: at its time, or at once when the signal aborts.
 */

/** Resolves after `delayMs`; rejects with the signal's reason when it aborts. */
export function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const timer = setTimeout(done, delayMs);
    signal.addEventListener('abort', aborted, { once: true });
    function done(): void {
      signal.removeEventListener('abort', aborted);
      resolve();
    }
    function aborted(): void {
      clearTimeout(timer);
      reject(signal.reason);
    }
  });
}

/** True when `promise` settled within `limitMs`; false when the time ran out; rejects when the signal aborts. */
export async function settlesWithin(promise: Promise<unknown>, limitMs: number, signal: AbortSignal): Promise<boolean> {
  const over = new AbortController();
  const settled = promise.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([settled, pause(limitMs, AbortSignal.any([signal, over.signal])).then(() => false)]);
  } finally {
    over.abort();
  }
}

/** Asks every `everyMs` until the answer is yes (true) or the time is over (false); rejects when the signal aborts. */
export async function becomesTrue(
  ask: () => Promise<boolean>,
  everyMs: number,
  limitMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const until = performance.now() + limitMs;
  for (;;) {
    signal.throwIfAborted();
    if (await ask()) return true;
    const leftMs = until - performance.now();
    if (leftMs <= 0) return false;
    await pause(Math.min(everyMs, leftMs), signal);
  }
}

/** What `promise` comes to, or the signal's reason if it aborts before. The work itself goes on. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason);
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
