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

const NO_PLUGINS = 'the docker target delivers no plugins yet: a manifest that declares them for it is refused';

if (missing === null) {
  targetContract({
    name: 'docker',
    make: async () => makeWorld(await sharedEngine()),
    many: 12,
    skips: {
      'L83 plugins go into what never ran, and into what runs, and disturb neither': NO_PLUGINS,
      'L68 another version takes the place of the one before; what is uninstalled is gone, and nothing else':
        NO_PLUGINS,
      'L69 what was damaged behind our back does not count as installed, and is mended by installing it again':
        NO_PLUGINS,
      'plugins outlive an update, the loss of the resource and another target object; not a destruction': NO_PLUGINS,
    },
  });
} else {
  test('docker', async (t) => {
    await realComponent(t, 'Docker', sharedEngine);
  });
}
