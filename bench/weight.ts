/**
 * What an instance weighs at rest: declared from a template, running and heard. Every event was text before it was folded, as
 * in a store, so nothing is shared that a log would not share; the agenda counts too.
 *
 * Measured in a process of its own, each figure after a collection; the heap of the empty process is taken off, its resident
 * memory is not. A fleet started from a snapshot shares the equal parts of its specs (`core/snapshot`); it is shown beside.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { freeze, thaw } from '../src/core/snapshot.ts';
import { LOGIC_VERSION } from '../src/core/limits.ts';
import type { FleetState } from '../src/core/model.ts';
import { atMost, known, timed, type Bench } from './figure.ts';
import { History } from './history.ts';
import { fleet } from './ticks.ts';

const INSTANCES = 100_000;
const KIB = 1024;
const MIB = 1024 * KIB;

export const bench: Bench = async function* weight() {
  // Code and templates are no weight of an instance.
  fleet(100, new History(() => undefined, { throughText: true }));
  const empty = heapBytes();
  let folded: History | null = fleet(INSTANCES, new History(() => undefined, { throughText: true }));
  // Before the collection: nobody collects by hand in a real one.
  const resident = process.memoryUsage.rss();
  yield atMost(`heap per instance at rest, of ${INSTANCES}`, (heapBytes() - empty) / INSTANCES / KIB, 'KiB', 4);
  yield atMost('resident memory of the process that folded them', resident / MIB, 'MiB', 600);

  let body = '';
  yield known(
    '  freezing it into a snapshot',
    timed(() => (body = freeze((folded as History).state))),
    'ms',
  );
  yield known('  the snapshot, per instance', body.length / INSTANCES / KIB, 'KiB');
  folded = null;
  const bare = heapBytes();
  let thawed: FleetState | null = null;
  yield known(
    '  thawing it',
    timed(() => (thawed = thaw(body, LOGIC_VERSION))),
    'ms',
  );
  yield known('  heap per instance, thawed', (heapBytes() - bare) / INSTANCES / KIB, 'KiB');
  if ((thawed as FleetState | null)?.instances.size !== INSTANCES) throw new Error('the snapshot lost instances');
};

/** After a full collection, twice: what the first one frees may hold what only the second one can free. */
function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

const collect = ((): (() => void) => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
})();
