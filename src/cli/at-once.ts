/** Runs a call for each of many, a few at a time, and keeps the order of what was given. The first failure ends it. */
export async function mapAtOnce<A, B>(items: readonly A[], most: number, call: (item: A) => Promise<B>): Promise<B[]> {
  const results: B[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await call(items[i] as A);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
  return results;
}
