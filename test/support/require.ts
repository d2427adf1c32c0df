/**
 * Tests against real components (PostgreSQL, Docker, a mounted disk): where one is missing, the test says so and is
 * skipped; with HOLDFAST_REQUIRE_ALL=1, as in CI, it fails instead, so that a green run has seen them all.
 */
import type { TestContext } from 'node:test';

/** What `probe` found, or null after the test was skipped. `probe` throws where the component is missing. */
export async function realComponent<T>(t: TestContext, name: string, probe: () => T | Promise<T>): Promise<T | null> {
  try {
    return await probe();
  } catch (error) {
    const reason = `${name} is not available here: ${error instanceof Error ? error.message : String(error)}`;
    if (process.env['HOLDFAST_REQUIRE_ALL'] === '1') throw new Error(reason, { cause: error });
    t.skip(reason);
    return null;
  }
}
