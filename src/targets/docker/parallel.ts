/** Work on many things, only so many at once; answers in the order of the things. The first failure ends it. */
export async function eachOf<T, R>(
  things: readonly T[],
  parallel: number,
  work: (thing: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  async function worker(): Promise<void> {
    while (next < things.length && !failed) {
      const at = next++;
      try {
        results[at] = await work(things[at]!);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(parallel, things.length) }, worker));
  return results;
}
