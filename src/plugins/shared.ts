/**
 * Work that many may ask for at once: what is on its way already is joined, and only so much is done at a time. It is called
 * off when nobody waits for it any more.
 */
interface Joint<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

export type Sharing = <T>(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>) => Promise<T>;

/** `full` is what is thrown when more wait than may. */
export function sharing(atOnce: number, atMost: number, deadlineMs: number, full: () => Error): Sharing {
  const joints = new Map<string, Joint<unknown>>();
  const queue: (() => void)[] = [];
  let free = atOnce;

  async function turn(signal: AbortSignal): Promise<void> {
    if (free > 0) {
      free -= 1;
      return;
    }
    if (queue.length >= atMost) throw full();
    await new Promise<void>((resolve, reject) => {
      const mine = (): void => {
        signal.removeEventListener('abort', gone);
        resolve();
      };
      const gone = (): void => {
        queue.splice(queue.indexOf(mine), 1);
        reject(signal.reason as Error);
      };
      queue.push(mine);
      signal.addEventListener('abort', gone, { once: true });
    });
  }

  function done(): void {
    const next = queue.shift();
    if (next === undefined) free += 1;
    else next();
  }

  function begin<T>(key: string, work: (signal: AbortSignal) => Promise<T>): Joint<T> {
    const controller = new AbortController();
    const { signal } = controller;
    const run = async (): Promise<T> => {
      await turn(signal);
      const timer = setTimeout(
        () => controller.abort(new Error(`it took longer than ${deadlineMs / 1_000} s`)),
        deadlineMs,
      );
      try {
        return await work(signal);
      } finally {
        clearTimeout(timer);
        done();
      }
    };
    const result = run().finally(() => {
      if (joints.get(key) === joint) joints.delete(key);
    });
    result.catch(() => undefined);
    const joint: Joint<T> = { result, controller, waiting: 0 };
    joints.set(key, joint);
    return joint;
  }

  return async <T>(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    const known = joints.get(key) as Joint<T> | undefined;
    const joint = known === undefined || known.controller.signal.aborted ? begin(key, work) : known;
    joint.waiting += 1;
    let gone: () => void = () => undefined;
    try {
      return await Promise.race([
        joint.result,
        new Promise<never>((_, reject) => {
          gone = () => reject(signal.reason as Error);
          signal.addEventListener('abort', gone, { once: true });
        }),
      ]);
    } finally {
      signal.removeEventListener('abort', gone);
      joint.waiting -= 1;
      if (joint.waiting === 0) joint.controller.abort(new Error('nobody waits for it any more'));
    }
  };
}
