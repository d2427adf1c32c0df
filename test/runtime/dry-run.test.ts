/** A dry run sees what waits for the next tick wherever it waits, and, if asked, the world itself; and moves nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../../src/ports/store.ts';
import type { DryRun } from '../../src/runtime/api.ts';
import { freeze } from '../../src/core/snapshot.ts';
import { FLEET, Stage } from './stage.ts';

const forever = new AbortController().signal;

const dryRun = (stage: Stage, observe = false): Promise<DryRun> =>
  stage.during(stage.control.dryRun(FLEET, { observe }, forever));

async function read(lines: Promise<AsyncIterable<string>>): Promise<void> {
  for await (const line of await lines) assert.ok(line.length > 0);
}

/** Everything that a look could have moved. */
async function standing(stage: Stage): Promise<unknown> {
  const { disk, target, fleet } = stage;
  const log = disk.fleets.get(FLEET);
  const { state } = fleet.loop;
  return JSON.parse(
    JSON.stringify({
      head: log?.head,
      epoch: log?.epoch,
      snapshots: log?.snapshots,
      calls: target.calls,
      held: [...target.held],
      state: freeze(state),
      nextAt: fleet.loop.agenda.nextAt,
    }),
  ) as unknown;
}

test('L63 facts that the store has not taken yet are part of a dry run, and are taken later all the same', async () => {
  let full = false;
  const refuse = (): never => {
    throw new Error('the disk is full');
  };
  const stage = new Stage({
    store: (inner): Store => ({
      ...inner,
      append: async (...ask) => (full ? refuse() : inner.append(...ask)),
      tick: async (...ask) => (full ? refuse() : inner.tick(...ask)),
    }),
  });
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  full = true;
  stage.target.exits('a');
  await stage.pass(1_000);
  const head = stage.fleet.loop.state.seq;
  const shown = await dryRun(stage);
  assert.deepEqual([shown.head, shown.pendingFacts], [head, 1]);
  assert.deepEqual(
    shown.facts.map(({ type, instance }) => [type, instance]),
    [['resource.observed', 'a']],
  );
  assert.deepEqual(
    shown.actions.map(({ instance, type }) => [instance, type]),
    [['a', 'start']],
  );
  assert.equal(stage.inst('a').resource?.state, 'running', 'the living state has not learnt of it');
  full = false;
  await stage.pass(10_000);
  assert.deepEqual([stage.inst('a').phase, stage.inst('a').restarts.crashes], ['RUNNING', 1]);
});

test('L63 with observe it looks at the world first, a second time for what is proved only by two looks, and writes nothing', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  const { uid } = stage.inst('a');
  // Gone, and nobody has told: the next sweep is some time off.
  const gone = stage.target.held.get(uid);
  stage.target.held.delete(uid);
  const before = await standing(stage);
  const blind = await stage.control.dryRun(FLEET, { observe: false }, forever);
  assert.deepEqual([blind.actions, blind.observed], [[], null]);
  const seen = await stage.control.dryRun(FLEET, { observe: true }, forever);
  assert.deepEqual(seen.observed, [{ target: 'fake', items: 1, error: null }]);
  assert.match(seen.facts.map(({ text }) => text).join(), /proved missing/);
  assert.deepEqual(
    seen.actions.map(({ instance, type }) => [instance, type]),
    [['a', 'provision']],
  );
  assert.deepEqual(await standing(stage), before);
  // Nor has it half proved anything for the next sweep: back again, it was never away.
  stage.target.held.set(uid, gone!);
  await stage.pass(5_000);
  assert.deepEqual([stage.inst('a').phase, stage.inst('a').restarts.crashes], ['RUNNING', 0]);
});

test('a target that cannot be listed is said, and changes nothing of what would be done', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  stage.target.listed = () => Promise.reject(new Error('the engine is away'));
  const shown = await dryRun(stage, true);
  assert.deepEqual(shown.observed, [{ target: 'fake', items: 0, error: 'the engine is away' }]);
  assert.deepEqual([shown.facts, shown.actions, shown.transitions], [[], [], []]);
});

test('L62 L64 whatever is asked to find something out moves neither the log, nor a snapshot, nor the state, nor the world', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  stage.target.exits('a');
  await stage.pass(30_000);
  const { control } = stage;
  const before = await standing(stage);
  const ask = { from: null, to: null, instance: null, policy: null, edits: [], skip: null, limit: null };
  const quiet = (): void => undefined;
  const looks: readonly (readonly [what: string, look: () => Promise<unknown>])[] = [
    ['why', () => control.why(FLEET, 'a', null)],
    ['why then', () => control.why(FLEET, 'a', '5')],
    ['history', () => control.events(FLEET, { after: 0, to: null, instance: 'a', limit: 1_000 })],
    ['dry run', () => control.dryRun(FLEET, { observe: false }, forever)],
    ['observing dry run', () => control.dryRun(FLEET, { observe: true }, forever)],
    ['replay', () => control.replay(FLEET, ask, forever, quiet)],
    ['what-if', () => control.replay(FLEET, { ...ask, policy: { giveUpAfter: 1 } }, forever, quiet)],
    ['edited', () => control.replay(FLEET, { ...ask, edits: [{ drop: 2 }] }, forever, quiet)],
    ['export', () => read(control.exportLog(FLEET, null))],
  ];
  for (const [what, look] of looks) {
    await look();
    assert.deepEqual(await standing(stage), before, what);
  }
});
