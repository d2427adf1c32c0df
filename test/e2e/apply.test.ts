/** Declaring: what apply says it does is what it does, all or nothing; and a change goes by rollout, the first one alone. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Json } from '../../src/core/model.ts';
import type { ApplyResult } from '../../src/runtime/api.ts';
import {
  alive,
  dataOf,
  ofType,
  openWorld,
  pidOf,
  until,
  type Answer,
  type Fleet,
  type Plane,
  type ProblemBody,
  type World,
} from '../support/e2e.ts';

const POLICY = { rollout: { healthyFor: '100ms' } };

describe('apply', () => {
  let world: World;
  let plane: Plane;

  before(async () => {
    world = await openWorld();
    plane = await world.up();
  });
  after(() => world.close());

  const bot = (more: { readonly [key: string]: Json } = {}, run: { readonly [key: string]: Json } = {}): Json => ({
    target: 'process',
    run: { command: world.agent(), ...run },
    ...more,
  });
  const resultsOf = ({ results }: ApplyResult): Json =>
    results.map(({ name, result, effect }) => [name, result, effect]);
  const problemOf = (answer: Answer<unknown>): ProblemBody => answer.body as ProblemBody;

  describe('says what it does', () => {
    let fleet: Fleet;
    before(() => {
      fleet = plane.fleet('words');
    });

    test('a dry run says what would be created, and changes nothing', async () => {
      const answer = await fleet.apply({ instances: { one: bot() } }, '?dryRun=true');
      assert.equal(answer.status, 200, answer.text);
      assert.deepEqual([answer.body.dryRun, resultsOf(answer.body)], [true, [['one', 'created', 'none']]]);
      assert.equal((await plane.ask('GET', '/v1/fleets/words')).status, 404);
    });

    test('created, then unchanged: applied again it is not even an event', async () => {
      const manifest = { policy: POLICY, instances: { one: bot(), two: bot(), three: bot({ lifecycle: 'lazy' }) } };
      const created = await fleet.declare(manifest);
      assert.deepEqual(resultsOf(created), [
        ['one', 'created', 'none'],
        ['three', 'created', 'none'],
        ['two', 'created', 'none'],
      ]);
      const pid = await fleet.running('one');
      await fleet.running('two');
      await fleet.until('three', 'asleep', ({ phase }) => phase === 'SLEEPING');
      const { head } = await fleet.view();
      const again = await fleet.declare(manifest);
      assert.deepEqual(resultsOf(again), [
        ['one', 'unchanged', 'none'],
        ['three', 'unchanged', 'none'],
        ['two', 'unchanged', 'none'],
      ]);
      assert.equal((await fleet.view()).head, head);
      assert.equal(pidOf(await fleet.get('one')), pid);
    });

    test('L56 an edit is never ignored: what it does to what runs is said before, and so it is', async () => {
      const one = pidOf(await fleet.get('one'));
      const two = pidOf(await fleet.get('two'));
      const manifest = {
        policy: POLICY,
        instances: {
          one: bot({}, { env: { LEVEL: 'debug' } }),
          two: bot({ labels: { team: 'a' } }),
          three: bot({ lifecycle: 'lazy' }),
        },
      };
      const dry = await fleet.apply(manifest, '?dryRun=true');
      const expected = [
        ['one', 'updated', dry.body.results[0]?.effect],
        ['three', 'unchanged', 'none'],
        ['two', 'updated', 'none'],
      ];
      assert.deepEqual(resultsOf(dry.body), expected);
      assert.ok(['restart', 'recreate'].includes(dry.body.results[0]?.effect ?? ''), dry.text);
      assert.deepEqual(dry.body.results[0]?.diff, [{ path: 'run.env.LEVEL', from: null, to: 'debug' }]);
      assert.equal(pidOf(await fleet.get('one')), one);

      assert.deepEqual(resultsOf(await fleet.declare(manifest)), expected);
      const view = await fleet.until('one', 'another process', (now) => now.phase === 'RUNNING' && pidOf(now) !== one);
      assert.deepEqual([view.generation, view.restarts], [2, { crashes: 0, planned: 1 }]);
      assert.equal(view.hashes.infra.applied, view.hashes.infra.declared);
      const labelled = await fleet.get('two');
      assert.deepEqual([pidOf(labelled), labelled.labels, labelled.generation], [two, { team: 'a' }, 2]);
      assert.deepEqual(ofType(await fleet.events(), 'flap.observed'), []);
    });

    test('L83 an edit of a sleeper does not wake it, and its next life is the new one', async () => {
      const { head } = await fleet.view();
      await fleet.declare({
        policy: POLICY,
        instances: {
          one: bot({}, { env: { LEVEL: 'debug' } }),
          two: bot({ labels: { team: 'a' } }),
          three: bot({ lifecycle: 'lazy' }, { env: { DREAM: 'yes' } }),
        },
      });
      const view = await fleet.until(
        'three',
        'updated asleep',
        ({ phase, hashes }) => phase === 'SLEEPING' && hashes.infra.applied === hashes.infra.declared,
      );
      assert.equal(view.generation, 2);
      const seen = ofType(await fleet.events(head), 'resource.observed', 'three').concat(
        ofType(await fleet.events(head), 'operation.ended', 'three'),
      );
      assert.ok(
        seen.every((event) => !JSON.stringify(event.data).includes('"running"')),
        JSON.stringify(seen),
      );
    });

    test('If-Match: who has seen an older revision is refused, and nothing is applied', async () => {
      const { revision, head } = await fleet.view();
      const manifest = { policy: POLICY, instances: { four: bot() } };
      const stale = await fleet.apply(manifest, '', { 'if-match': '"0000"' });
      assert.equal(stale.status, 412, stale.text);
      assert.match(problemOf(stale).detail, new RegExp(String(revision)));
      assert.equal((await fleet.view()).head, head);
      const same = await plane.ask<{ instances: object }>('GET', '/v1/fleets/words/manifest');
      assert.equal(same.headers.etag, `"${revision}"`);
      const fresh = await plane.ask('PUT', '/v1/fleets/words', {
        body: same.body as Json,
        headers: { 'if-match': same.headers.etag ?? '' },
      });
      assert.equal(fresh.status, 200, fresh.text);
    });

    test('L56 what the file no longer has is reported, and runs on; prune takes the count that was seen', async () => {
      const pid = pidOf(await fleet.get('two'));
      const manifest = { policy: POLICY, instances: { one: bot({}, { env: { LEVEL: 'debug' } }) } };
      const applied = await fleet.declare(manifest);
      assert.deepEqual(resultsOf(applied), [
        ['one', 'unchanged', 'none'],
        ['three', 'undeclared', 'none'],
        ['two', 'undeclared', 'none'],
      ]);
      assert.match(applied.results[1]?.note ?? '', /no longer in the manifest/);
      assert.equal(pidOf(await fleet.get('two')), pid);

      const { head } = await fleet.view();
      const wrong = await fleet.apply(manifest, '?prune=1');
      assert.deepEqual([wrong.status, problemOf(wrong).rule], [409, 'prune-count'], wrong.text);
      assert.match(problemOf(wrong).detail, /three.*two/);
      assert.equal((await fleet.view()).head, head);
      assert.ok(alive(pid));

      const pruned = await fleet.apply(manifest, '?prune=2');
      assert.deepEqual(resultsOf(pruned.body), [
        ['one', 'unchanged', 'none'],
        ['three', 'pruned', 'delete'],
        ['two', 'pruned', 'delete'],
      ]);
      await until('both are gone', async () => (await fleet.all()).length === 1);
      assert.ok(!alive(pid));
    });

    test('the command line applies a file with its relative paths, shows it converge, and diff tells same from different', async () => {
      const file = join(world.folder, 'fleet.yaml');
      const text = `version: 1\nfleet: words\npolicy: { rollout: { healthyFor: 100ms } }\ninstances:\n  one:\n    target: process\n    run: { command: [${process.execPath}, agent.mjs], cwd: . }\n`;
      writeFileSync(file, text);
      assert.equal((await plane.cli('diff', '-f', file)).code, 1);
      const applied = await plane.cli('apply', '-f', file, '--wait');
      assert.equal(applied.code, 0, applied.err + applied.out);
      assert.match(applied.out, /one[^]*RUNNING/);
      const same = await plane.cli('diff', '-f', file);
      assert.deepEqual([same.code, same.err], [0, ''], same.out);
      writeFileSync(file, text.replace('target: process', 'target: process\n    colour: red'));
      const bad = await plane.cli('apply', '-f', file);
      assert.equal(bad.code, 2);
      assert.match(bad.err, /fleet\.yaml:7: instances\.one\.colour: /);
    });
  });

  describe('rolls a change out', () => {
    const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
    let fleet: Fleet;
    let broken: string;

    const six = (command: readonly string[], env: { readonly [name: string]: string } = {}, healthyFor = '100ms') => ({
      policy: { rollout: { healthyFor } },
      instances: Object.fromEntries(
        NAMES.map((name) => [name, { target: 'process', run: { command: [...command], env } }]),
      ),
    });
    const pids = async (): Promise<readonly number[]> =>
      (await fleet.all()).map((view) => (view.phase === 'RUNNING' ? pidOf(view) : 0));

    before(async () => {
      fleet = plane.fleet('rollout');
      await fleet.declare(six(world.agent()));
      for (const name of NAMES) await fleet.running(name);
    });

    test('L79 a command that does not exist takes nobody down: the first one tells, the rest are held', async () => {
      const before = await pids();
      await fleet.declare(six(['/nowhere/agent']));
      for (const name of NAMES.slice(1))
        await fleet.until(name, 'held', ({ hold }) => hold?.reason === 'rollout-failed');
      const first = await fleet.get('a');
      assert.deepEqual([first.lastError?.code, first.phase], ['command-not-found', 'ERROR']);
      assert.match(first.lastError?.message ?? '', /\/nowhere\/agent/);
      assert.ok(before.every(alive), 'every one runs on');
      const view = await fleet.view();
      assert.deepEqual([view.rollout?.state, view.rollout?.failures], ['failed', 1]);
      assert.deepEqual(ofType(await fleet.events(), 'flap.observed'), []);
    });

    test('L74 the fixed revision is rolled out at once, without anybody reconciling anything', async () => {
      const before = await pids();
      await fleet.declare(six(world.agent(), { FIXED: '1' }));
      await until('all are proved', async () => (await fleet.view()).rollout?.proved === NAMES.length);
      for (const { phase, hashes, lastError } of await fleet.all())
        assert.deepEqual([phase, hashes.infra.applied, lastError], ['RUNNING', hashes.infra.declared, null]);
      const after = await pids();
      for (const [at, pid] of after.entries()) assert.notEqual(pid, before[at]);
      await oneAtATime();
    });

    test('L79 a command that starts and breaks takes down the first one alone; the rest keep their processes', async () => {
      const before = await pids();
      const missing = join(world.folder, 'missing');
      // Longer than a crash at start takes, on however busy a machine.
      await fleet.declare(six(world.agent(missing), {}, '30s'));
      const first = await until('one of them crashes', async () =>
        (await fleet.all()).find(({ restarts }) => restarts.crashes >= 2),
      );
      assert.match(first.lastError?.message ?? '', /exit code 1/);
      const rest = NAMES.filter((name) => name !== first.name);
      for (const name of rest)
        await fleet.until(name, 'held since the first failed', ({ hold }) => hold?.reason === 'rollout-failed');
      assert.equal((await fleet.view()).rollout?.state, 'failed');
      await until(
        'it crashes again',
        async () => (await fleet.get(first.name)).restarts.crashes > first.restarts.crashes,
      );
      for (const [at, name] of NAMES.entries())
        if (name !== first.name) assert.equal(pidOf(await fleet.get(name)), before[at], name);
      broken = first.name;
    });

    test('L74 and the next revision heals it at once, whatever backoff it was in', async () => {
      await fleet.declare(six(world.agent(), { FIXED: '2' }));
      await until('all are as declared', async () =>
        (await fleet.all()).every(
          ({ phase, hashes }) => phase === 'RUNNING' && hashes.infra.applied === hashes.infra.declared,
        ),
      );
      await fleet.running(broken);
      assert.notEqual((await fleet.view()).rollout?.state, 'failed');
    });

    /** Of the last revision: who went down, went down after the one before was proved. */
    async function oneAtATime(): Promise<void> {
      const { rollout } = await fleet.view();
      const events = (await fleet.events()).filter(({ at }) => at >= (rollout?.at ?? ''));
      let down = 0;
      for (const event of ofType(events, 'tick.decided')) {
        for (const { type, rule } of dataOf(event)['actions'] as { type: string; rule: string }[]) {
          if (type === 'update') down += 1;
          if (type === 'rollout-proved') down -= 1;
          assert.ok(down <= 1, `${down} down at once, by ${rule} in #${event.seq}`);
        }
      }
    }
  });
});
