/**
 * The docker target against a real engine: the contract that every target keeps, and what is its own.
 */
import { after, test } from 'node:test';
import { endSharedEngine, sharedEngine } from '../support/docker.ts';
import { makeWorld } from '../support/docker-world.ts';
import { realComponent } from '../support/require.ts';
import { targetContract } from './target.suite.ts';

after(endSharedEngine);

let missing: string | null = null;
await sharedEngine().catch((error: unknown) => (missing = String(error)));

if (missing === null) {
  targetContract({
    name: 'docker',
    make: async () => makeWorld(await sharedEngine()),
    many: 12,
  });
} else {
  test('docker', async (t) => {
    await realComponent(t, 'Docker', sharedEngine);
  });
}
