/**
 * The store in memory as the model of the others: whatever sequence of verbs they are given, they answer as it does,
 * word for word. It reaches the combinations that nobody thought of writing down in the suite.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import type { NewEvent } from '../../src/core/events.ts';
import type { Store } from '../../src/ports/store.ts';
import { createMemoryDisk, createMemoryStore } from '../../src/stores/memory.ts';
import type { StoreHarness } from './store.suite.ts';

/** One verb with its arguments; the answer of both stores must be the same. */
interface Step {
  readonly text: string;
  run(store: Store): Promise<unknown>;
}

const LEASE_MS = 30_000;

function facts(count: number, uid: string): readonly NewEvent[] {
  return Array.from({ length: count }, (_, i) =>
    i % 2 === 0
      ? { type: 'config.observed', instance: uid, uid, data: { hash: `h${i}` } }
      : { type: 'target.cleared', data: { target: 't' }, by: { token: 'ci', via: 'api' } },
  );
}

const fleet = fc.constantFrom('f', 'g');
const uid = fc.constantFrom('u1', 'u2');
const small = fc.nat(8);
const time = fc.nat(60);
const owner = fc.constantFrom('a', 'b');

const step = (text: string, run: Step['run']): Step => ({ text, run });

const steps: fc.Arbitrary<Step> = fc.oneof(
  fleet.map((f) => step(`ensure ${f}`, (s) => s.ensureFleet(f))),
  {
    weight: 6,
    arbitrary: fc
      .tuple(fleet, small, uid, time)
      .map(([f, n, u, t]) => step(`append ${f} ${n} at ${t}`, (s) => s.append(f, facts(n, u), () => t))),
  },
  fc
    .tuple(fleet, small, time)
    .map(([f, head, t]) => step(`append ${f} at ${t} if ${head}`, (s) => s.append(f, facts(1, 'u1'), () => t, head))),
  {
    weight: 4,
    arbitrary: fc.tuple(fleet, fc.nat(4), small, small, time).map(([f, epoch, after, n, t]) =>
      step(`tick ${f} epoch ${epoch} after ${after}, ${n} at ${t}`, async (s) => {
        let saw: unknown;
        const added = await s.tick(
          f,
          epoch,
          after,
          () => t,
          (fresh, log) => ((saw = [fresh, log]), facts(n, 'u2')),
        );
        return [saw, added];
      }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fleet, small, fc.option(small, { nil: undefined }), small, fc.option(uid, { nil: undefined }))
      .map(([f, after, to, limit, u]) =>
        step(`read ${f} ${after}–${to} ${limit} ${u}`, (s) =>
          s.read(f, { after, limit, ...(to === undefined ? {} : { to }), ...(u === undefined ? {} : { uid: u }) }),
        ),
      ),
  },
  fleet.map((f) => step(`oldest ${f}`, (s) => s.oldest(f))),
  fc.tuple(fleet, time).map(([f, t]) => step(`seqAt ${f} ${t}`, (s) => s.seqAt(f, t))),
  fc
    .tuple(fleet, small, fc.nat(2))
    .map(([f, seq, logic]) =>
      step(`snapshot ${f} ${seq} of ${logic}`, (s) =>
        s.saveSnapshot(f, { seq, at: seq, logic, body: `${seq}.${logic}` }),
      ),
    ),
  fc.tuple(fleet, small).map(([f, most]) => step(`snapshot ${f} up to ${most}`, (s) => s.snapshot(f, most))),
  fc
    .tuple(fleet, time, small)
    .map(([f, sinceAt, events]) => step(`retain ${f} ${sinceAt} ${events}`, (s) => s.retain(f, { sinceAt, events }))),
  {
    weight: 2,
    arbitrary: fc.tuple(fleet, owner).map(([f, o]) => step(`acquire ${f} ${o}`, (s) => s.acquire(f, o, LEASE_MS))),
  },
  fc.tuple(fleet, fc.nat(4)).map(([f, epoch]) => step(`renew ${f} ${epoch}`, (s) => s.renew(f, epoch, LEASE_MS))),
  fc.tuple(fleet, fc.nat(4)).map(([f, epoch]) => step(`release ${f} ${epoch}`, (s) => s.release(f, epoch))),
  fleet.map((f) => step(`drop ${f}`, (s) => s.dropFleet(f))),
  fleet.map((f) => step(`secrets ${f}`, (s) => s.secrets(f))),
  fc
    .tuple(fleet, uid, fc.nat(3), fc.uint8Array({ maxLength: 4 }))
    .map(([f, name, version, sealed]) =>
      step(`put secret ${f} ${name}@${version}`, (s) => s.putSecret(f, { name, version, sealed })),
    ),
  fc
    .tuple(fleet, uid, fc.nat(3))
    .map(([f, name, upTo]) => step(`drop secret ${f} ${name} up to ${upTo}`, (s) => s.dropSecrets(f, name, upTo))),
  fc.constant(step('fleets', (s) => s.fleets())),
);

async function answer(work: Promise<unknown>): Promise<unknown> {
  try {
    return { answered: await work };
  } catch (error) {
    return { refused: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
  }
}

/** Each sequence gets a harness, thus data, of its own. */
export function storeModel(
  name: string,
  runs: number,
  makeHarness: (t: TestContext) => Promise<Pick<StoreHarness, 'open'> | null>,
): void {
  test(`${name} answers like the store in memory, whatever it is asked (${runs} sequences)`, async (t) => {
    const sequences = fc.array(steps, { minLength: 10, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(sequences, async (sequence) => {
        const harness = await makeHarness(t);
        if (harness === null) return;
        const model = createMemoryStore({ disk: createMemoryDisk() });
        const store = await harness.open();
        try {
          await Promise.all([model.ensureFleet('f'), store.ensureFleet('f')]);
          const done: string[] = [];
          for (const each of sequence) {
            done.push(each.text);
            assert.deepEqual(await answer(each.run(store)), await answer(each.run(model)), done.join('\n'));
          }
        } finally {
          await store.close();
        }
      }),
      { numRuns: runs },
    );
  });
}
