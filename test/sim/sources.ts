/**
 * Where simulated plugins come from: a repository for each source, whose branches move, and whose server fails, hangs and is
 * slow like everything else. A plugin of "search" takes effect with a restart only.
 */
import { TargetError } from '../../src/ports/target.ts';
import type { PluginSources, PluginTree, WantedPlugin } from '../../src/ports/plugin-source.ts';
import { detail } from './authority.ts';
import type { TargetWorld } from './target.ts';

const QUICK_MS = 20;
const SLOW_MS = 20_000;
const HANGS_MS = 3_600_000;

export function simSources(world: TargetWorld, hear: (run: () => void) => void): PluginSources {
  const answered = <T>(signal: AbortSignal, answer: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      const { weather, chance, clock } = world;
      const slowMs = weather.is('slow') ? chance.int(1_000, SLOW_MS) : chance.int(QUICK_MS, 200);
      const ms = weather.calm ? QUICK_MS : weather.is('hang') ? HANGS_MS : slowMs;
      const stop = clock.after(ms, () =>
        hear(() => {
          if (weather.is('error-before'))
            reject(new TargetError(detail('transient', 'instance', 'fetch', 'it is gone')));
          else if (weather.is('terminal-error'))
            reject(new TargetError(detail('terminal', 'instance', 'hostile', 'a link leads out of it')));
          else resolve(answer());
        }),
      );
      const onAbort = (): void => {
        stop();
        clock.after(1, () => hear(() => reject(new Error('aborted'))));
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  const shaOf = ({ source, ref }: WantedPlugin): string =>
    ref === 'main' ? (world.heads.get(source) ?? 'sha-0') : `sha-${ref}`;

  return {
    trackEveryMs: 60_000,
    resolve: (wanted, signal) => answered(signal, () => shaOf(wanted)),
    fetch: (wanted, signal) =>
      answered(signal, (): PluginTree => {
        const { source, ref } = wanted;
        const sha = shaOf(wanted);
        const name = source.slice(source.lastIndexOf('/') + 1);
        return {
          source,
          ref,
          sha,
          treeDigest: `tree-${sha}`,
          name,
          version: '1',
          restart: name === 'search',
          needs: [],
          entries: [],
          sizeBytes: 0,
          folder: '/nowhere',
          release: () => undefined,
        };
      }),
  };
}
