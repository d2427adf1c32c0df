/** Agents that cannot run, will not run, or are lost together: what is said of them, and that nobody storms. */
import assert from 'node:assert/strict';
import { chmodSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { WaitResult } from '../../src/runtime/api.ts';
import type { Json } from '../../src/core/model.ts';
import {
  alive,
  dataOf,
  ofType,
  openWorld,
  pidOf,
  send,
  until,
  wordsOf,
  type Fleet,
  type Plane,
  type World,
} from '../support/e2e.ts';

describe('an agent', () => {
  let world: World;
  let plane: Plane;

  before(async () => {
    world = await openWorld();
    plane = await world.up();
  });
  after(() => world.close());

  const bot = (command: readonly string[], more: { readonly [key: string]: Json } = {}): Json => ({
    target: 'process',
    run: { command: [...command], ...more },
  });

  describe('that cannot be started', () => {
    let fleet: Fleet;
    before(async () => {
      fleet = plane.fleet('broken');
      writeFileSync(join(world.folder, 'no-program'), 'no program\n');
      chmodSync(join(world.folder, 'no-program'), 0o644);
      await fleet.declare({
        instances: {
          absent: bot(['/nowhere/agent']),
          unknown: bot(['no-such-program-anywhere']),
          forbidden: bot([join(world.folder, 'no-program')]),
          homeless: bot(world.agent(), { cwd: '/nowhere' }),
          fine: bot(world.agent()),
        },
      });
    });

    for (const [name, code, words] of [
      ['absent', 'command-not-found', /there is no \/nowhere\/agent/],
      ['unknown', 'command-not-found', /"no-such-program-anywhere": it is in no folder of PATH/],
      ['forbidden', 'command-not-executable', /no-program is not executable/],
      ['homeless', 'cwd-missing', /run\.cwd \/nowhere does not exist/],
    ] as const) {
      test(`for ${code} (${name}) is in ERROR with the real reason, and is not tried again`, async () => {
        const view = await fleet.until(name, 'in ERROR', ({ phase }) => phase === 'ERROR');
        assert.equal(view.lastError?.code, code);
        assert.match(view.lastError?.message ?? '', words);
        assert.equal(view.lastError?.attempt, 1);
        assert.match(
          (await plane.cli('get', name, '--fleet', 'broken')).out,
          new RegExp(`^${name} +ERROR .*${code}: `, 'm'),
        );
      });
    }

    test('takes nobody else with it', async () => {
      await fleet.running('fine');
      assert.equal(ofType(await fleet.events(), 'target.refused').length, 0);
      assert.deepEqual(
        (await fleet.view()).targets.map(({ breaker }) => breaker),
        [null],
      );
    });

    test('L13 asked again by an operator it fails again, and the answer says so', async () => {
      const answer = await fleet.post<WaitResult>('instances/absent/reconcile?wait=20s');
      assert.deepEqual(
        [answer.status, answer.body.outcome, answer.body.lastError?.code],
        [200, 'failed', 'command-not-found'],
      );
      const cli = await plane.cli('reconcile', 'absent', '--fleet', 'broken', '--wait');
      assert.equal(cli.code, 1, cli.out + cli.err);
      assert.match(cli.out + cli.err, /nowhere\/agent/);
    });

    test('L74 a fixed manifest takes it out of ERROR at once', async () => {
      await fleet.declare({
        instances: {
          absent: bot(world.agent()),
          unknown: bot(world.agent()),
          forbidden: bot(world.agent()),
          homeless: bot(world.agent()),
          fine: bot(world.agent()),
        },
      });
      for (const name of ['absent', 'unknown', 'forbidden', 'homeless']) {
        await fleet.running(name);
        await fleet.until(name, 'without an error', ({ lastError }) => lastError === null);
      }
    });
  });

  describe('that says that its configuration is invalid (exit code 78)', () => {
    let fleet: Fleet;
    let file: string;
    before(async () => {
      file = join(world.folder, 'config.json');
      fleet = plane.fleet('picky');
      await fleet.declare({ instances: { picky: bot(world.agent(file, 78)) } });
    });

    test('is in ERROR after that one life, with its own last words', async () => {
      const view = await fleet.until('picky', 'in ERROR', ({ phase }) => phase === 'ERROR');
      assert.equal(view.lastError?.code, 'config-invalid');
      const events = await fleet.events();
      assert.equal(ofType(events, 'flap.observed').length, 1);
      assert.match(wordsOf(ofType(events, 'flap.observed')[0], 'output'), /there is no .*config\.json/);
      const started = ofType(events, 'tick.decided').flatMap((event) => dataOf(event)['actions'] as { type: string }[]);
      assert.deepEqual(
        started.map(({ type }) => type),
        ['provision'],
        'it was started once',
      );
    });

    test('L87 and runs again as soon as the cause is mended and it is asked, or its manifest is fixed', async () => {
      writeFileSync(file, '{}');
      const answer = await fleet.post<WaitResult>('instances/picky/reconcile?wait=20s');
      assert.equal(answer.body.outcome, 'succeeded', answer.text);
      await fleet.running('picky');
      await fleet.declare({ instances: { picky: bot(world.agent(join(world.folder, 'other.json'), 78)) } });
      await fleet.until('picky', 'in ERROR again', ({ phase, generation }) => phase === 'ERROR' && generation === 2);
      await fleet.declare({ instances: { picky: bot(world.agent(file)) } });
      await fleet.running('picky');
    });
  });

  test('L40 L43 that crashes at every start is tried ever more rarely, its error says why, and it gives up', async () => {
    const fleet = plane.fleet('loop');
    await fleet.declare({
      policy: { giveUpAfter: 3 },
      instances: { looper: bot(world.agent(join(world.folder, 'missing'), 9)) },
    });
    const view = await fleet.until('looper', 'given up', ({ phase }) => phase === 'ERROR');
    assert.equal(view.restarts.crashes, 3);
    assert.match(view.lastError?.message ?? '', /exit code 9/);
    const flaps = ofType(await fleet.events(), 'flap.observed');
    const [first, second, third] = flaps.map(({ at }) => Date.parse(at));
    assert.ok(second! - first! < 900, 'the first is healed at once');
    assert.ok(third! - second! >= 900, 'the next waits');
    assert.match(
      (await plane.cli('why', 'looper', '--fleet', 'loop')).out,
      /looper is ERROR [^]*Row "gave-up"[^]*holdfast reconcile looper/,
    );
  });

  describe('lost together with many', () => {
    const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    let fleet: Fleet;
    before(async () => {
      fleet = plane.fleet('many');
      await fleet.declare({ instances: Object.fromEntries(NAMES.map((name) => [name, bot(world.agent())])) });
      for (const name of NAMES) await fleet.running(name);
    });

    const heldSince = async (head: number): Promise<boolean> =>
      JSON.stringify(ofType(await fleet.events(head), 'tick.decided')).includes('"reason":"blast-radius"');

    test('L45 by being killed is healed after another complete look has confirmed it', async () => {
      const { head } = await fleet.view();
      const old = (await fleet.all()).map(pidOf);
      for (const pid of old) send(pid, 'SIGKILL');
      await until('all run again', async () =>
        (await fleet.all()).every((view) => view.phase === 'RUNNING' && !old.includes(pidOf(view))),
      );
      assert.ok(await heldSince(head), 'what was lost last was held meanwhile');
      assert.equal(ofType(await fleet.events(head), 'flap.observed').length, NAMES.length);
    });

    test('L51 by its record being gone is held until an operator says so', async () => {
      const records = join(plane.data, 'processes', 'process', 'many');
      const old = (await fleet.all()).map(pidOf);
      for (const file of readdirSync(records)) if (file.endsWith('.json')) rmSync(join(records, file));
      for (const pid of old) send(pid, 'SIGKILL');
      const held = await until(
        'one is held',
        async () => (await fleet.all()).filter(({ hold }) => hold?.reason === 'blast-radius').length > 0 && fleet.all(),
      );
      assert.ok(held.length === NAMES.length);
      await until('the losses are counted', async () => ((await fleet.view()).targets[0]?.blastRadius?.lost ?? 0) > 5);
      const left = (await fleet.all()).filter(({ hold }) => hold?.reason === 'blast-radius').map(({ name }) => name);
      const { head } = await fleet.view();
      const { code, err } = await plane.cli(
        'override',
        '--target',
        'process',
        '--fleet',
        'many',
        '--reason',
        'I removed them',
      );
      assert.equal(code, 0, err);
      for (const name of left) await fleet.running(name);
      for (const name of NAMES) await fleet.running(name);
      assert.ok((await fleet.events(head)).some(({ by }) => by?.reason === 'I removed them'));
      assert.ok(old.every((pid) => !alive(pid)));
    });
  });
});
