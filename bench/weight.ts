/**
 * What an instance weighs at rest: declared from a template, running, heard, its log folded event by event as it was read
 * back from text. Nothing is shared that a log would not share; the agenda counts, and so does the manifest itself.
 *
 * Measured in a process of its own, each figure after a collection. A fleet that was started from a snapshot shares equal
 * parts of specs (`core/snapshot`) and weighs less; that is shown beside it.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { StoredEvent } from '../src/core/events.ts';
import { emptyState, evolve } from '../src/core/evolve.ts';
import { LOGIC_VERSION } from '../src/core/limits.ts';
import { freeze, thaw } from '../src/core/snapshot.ts';
import { conclude, plan } from '../src/core/tick.ts';
import { Agenda } from '../src/core/agenda.ts';
import { manifestOf, template, who } from './declared.ts';
import { atMost, known, type Bench, type Figure } from './figure.ts';
import { History } from './history.ts';

const INSTANCES = 100_000;
const KIB = 1024;
const MIB = 1024 * KIB;
const RSS_LIMIT_MIB = 600;

const collect = collector();

export const bench: Bench = async function* weight(): AsyncGenerator<Figure> {
  const text = logText();
  const before = heapBytes();
  const folded = fold(text());
  const perInstance = (heapBytes() - before) / INSTANCES;
  yield atMost(`heap per instance at rest, of ${INSTANCES}`, perInstance / KIB, 'KiB', 4);
  yield atMost(`resident, whole process, ${INSTANCES} instances`, process.memoryUsage.rss() / MIB, 'MiB', RSS_LIMIT_MIB);

  const body = freeze(folded.state);
  yield known('  snapshot, per instance', body.length / INSTANCES / KIB, 'KiB');
  folded.forget();
  const bare = heapBytes();
  const thawed = fold([], body);
  yield known('  heap per instance, started from that snapshot', (heapBytes() - bare) / INSTANCES / KIB, 'KiB');
  if (thawed.state.instances.size !== INSTANCES) throw new Error('the snapshot lost instances');
};
