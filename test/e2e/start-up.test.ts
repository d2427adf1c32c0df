/**
 * What keeps Holdfast from starting is said in one clear sentence, with exit code 2; what it can live with, it lives with,
 * and says so. Never a stack trace, never a lost event, never an agent touched.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import type { EventView } from '../../src/runtime/api.ts';
import {
  alive,
  dataOf,
  ofType,
  openWorld,
  pidOf,
  send,
  until,
  wordsOf,
  type Ended,
  type Fleet,
  type Plane,
  type World,
} from '../support/e2e.ts';

/** One line on standard error, nothing else, exit code 2. */
function oneSentence({ code, signal, out, err }: Ended, words: RegExp): void {
  assert.deepEqual([code, signal], [2, null], err);
  assert.equal(out, '');
  assert.match(err, /^[^\n]+\n$/, 'one line');
  assert.match(err, words);
  assert.doesNotMatch(err, /\bat .*:\d+:\d+|Error:/);
}

describe('a server that cannot start', () => {
  let world: World;
  let plane: Plane;
  let fleet: Fleet;

  before(async () => {
    world = await openWorld();
    plane = await world.up();
    fleet = plane.fleet('demo');
    await fleet.declare({ instances: { one: { target: 'process', run: { command: world.agent() } } } });
    await fleet.running('one');
  });
  after(() => world.close());

  /** While `attempt` fails, the fleet of the one that runs goes on. */
  async function undisturbed(attempt: () => Promise<void>): Promise<void> {
    const before = [(await fleet.view()).head, pidOf(await fleet.get('one'))];
    await attempt();
    assert.deepEqual([(await fleet.view()).head, pidOf(await fleet.get('one'))], before);
  }

  const folder = (name: string): string => join(world.folder, name);

  test('for a data folder that another Holdfast works on: names its process', () =>
    undisturbed(async () =>
      oneSentence(
        await world.refused({}),
        new RegExp(`in use by another Holdfast \\(pid ${plane.pid}\\): stop that one first`),
      ),
    ));

  test('L73 for a copy of a data folder whose original runs on this machine: neither fights over the agents', () =>
    undisturbed(async () => {
      cpSync(plane.data, folder('copy'), { recursive: true, filter: (file) => !file.includes('holdfast.lock') });
      oneSentence(
        await world.refused({ data: folder('copy') }),
        new RegExp(`already being run on this host by process ${plane.pid} .*is a copy of it`),
      );
    }));

  test('for an address in use: before anything is taken over', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      oneSentence(
        await world.refused({ data: folder('other'), port }),
        new RegExp(`127\\.0\\.0\\.1:${port} is already in use.*--listen`),
      );
    } finally {
      taken.close();
    }
    assert.ok(!existsSync(join(folder('other'), 'endpoint')), 'it names no server');
  });

  test('for data that a newer Holdfast has written: says which schema it knows', async () => {
    const data = folder('newer');
    const made = await world.up({ data });
    await made.end();
    const db = new DatabaseSync(join(data, 'holdfast.db'));
    db.exec('PRAGMA user_version = 99');
    db.close();
    oneSentence(
      await world.refused({ data }),
      /written by a newer Holdfast \(schema 99, where this build knows \d+\): upgrade Holdfast, or restore a backup/,
    );
  });

  test('for an event of a newer Holdfast: refuses to guess', async () => {
    const data = folder('newer-event');
    const made = await world.up({ data });
    await made.fleet('f').declare({ instances: {} });
    await made.kill();
    world.falsified(data);
    const db = new DatabaseSync(join(data, 'holdfast.db'));
    db.exec(`UPDATE events SET type = 'agent.promoted' WHERE seq = 1`);
    db.close();
    oneSentence(
      await world.refused({ data }),
      /event 1 is "agent\.promoted", a type that this build does not know: a newer Holdfast wrote it\. Upgrade/,
    );
  });

  test('for what is no database, or is none of ours', async () => {
    mkdirSync(folder('garbage'));
    writeFileSync(join(folder('garbage'), 'holdfast.db'), 'not a database '.repeat(1_000));
    oneSentence(await world.refused({ data: folder('garbage') }), /is damaged .*restore it from a backup/);
    mkdirSync(folder('foreign'));
    const db = new DatabaseSync(join(folder('foreign'), 'holdfast.db'));
    db.exec('CREATE TABLE songs (name TEXT)');
    db.close();
    oneSentence(
      await world.refused({ data: folder('foreign') }),
      /was not made by Holdfast: choose another data folder/,
    );
    assert.equal(readFileSync(join(folder('garbage'), 'holdfast.db'), 'utf8').slice(0, 14), 'not a database');
  });

  test('for a log with a hole, or for a folder that cannot be one', async () => {
    const data = folder('hole');
    const made = await world.up({ data });
    await made.fleet('f').declare({ instances: { one: { target: 'process', run: { command: world.agent() } } } });
    await made.fleet('f').running('one');
    await made.kill();
    const db = new DatabaseSync(join(data, 'holdfast.db'));
    world.falsified(data);
    db.exec('DELETE FROM events WHERE seq = 3');
    db.close();
    oneSentence(await world.refused({ data }), /has a hole between events 1 and \d+: 1 are missing/);
    writeFileSync(folder('file'), '');
    oneSentence(await world.refused({ data: folder('file') }), /file/);
  });

  test('for options that mean nothing, and a store that is not there: without its password', async () => {
    oneSentence(await world.refused({ data: folder('p'), args: ['--log-level', 'loud'] }), /"loud"/);
    const listen = await world.run(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      join(import.meta.dirname, '../../src/cli/main.ts'),
      'up',
      '--data',
      folder('p'),
      '--listen',
      'nowhere at all',
    ]);
    oneSentence(listen, /"nowhere at all" is no address/);
    const store = await world.refused({
      data: folder('p'),
      args: ['--store', 'postgres://holdfast:s3cr3t-pw@127.0.0.1:1/holdfast'],
    });
    oneSentence(store, /127\.0\.0\.1:1|ECONNREFUSED|PostgreSQL/);
    assert.doesNotMatch(store.err + store.out, /s3cr3t/);
  });

  test('for a server file with mistakes: each with its line', async () => {
    mkdirSync(folder('bad-file'));
    writeFileSync(
      join(folder('bad-file'), 'holdfast.yaml'),
      'listen: 127.0.0.1:0\ncolour: red\nretention: { days: soon }\n',
    );
    const { code, err } = await world.refused({ data: folder('bad-file') });
    assert.equal(code, 2);
    assert.match(err, /holdfast\.yaml:2: colour: [^\n]+\n[^\n]*holdfast\.yaml:3: retention\.days: /);
    assert.doesNotMatch(err, /\n\s+at /);
  });
});

describe('a row that cannot be read', () => {
  let world: World;
  let plane: Plane;
  let fleet: Fleet;
  let pids: { readonly [name: string]: number };
  let head: number;

  before(async () => {
    world = await openWorld();
    plane = await world.up();
    fleet = plane.fleet('demo');
    const bot = { target: 'process', run: { command: world.agent() } };
    await fleet.declare({ instances: { stopped: bot, running: bot, other: bot } });
    pids = {
      stopped: await fleet.running('stopped'),
      running: await fleet.running('running'),
      other: await fleet.running('other'),
    };
    await fleet.post('instances/stopped/stop?wait=20s');
    await fleet.post('instances/running/reconcile?wait=20s');
    head = (await fleet.view()).head;
    // Killed: an orderly end writes a snapshot, and what is before that is not read again.
    await plane.kill();
    world.falsified(plane.data);
    damage('stopped', 'stop');
    damage('running', 'reconcile');
    plane = await world.up();
    fleet = plane.fleet('demo');
    await until('the target is seen', async () => (await fleet.view()).targets.every(({ state }) => state === 'seen'));
  });
  after(() => world.close());

  function damage(instance: string, verb: string): void {
    const db = new DatabaseSync(join(plane.data, 'holdfast.db'));
    const { changes } = db
      .prepare(
        `UPDATE events SET data = substr(data, 1, 5) WHERE type = 'command.issued' AND instance = ? AND data LIKE ?`,
      )
      .run(instance, `%${verb}%`);
    assert.equal(changes, 1);
    db.close();
  }

  test('L46 holds its own instance and no other: a lost stop starts nobody', async () => {
    const held = await fleet.until('stopped', 'held', ({ hold }) => hold?.reason === 'quarantined');
    assert.deepEqual([held.phase, held.resource?.state], ['PENDING', 'stopped']);
    const why = await fleet.why('stopped');
    assert.equal(why.hold?.reason, 'quarantined');
    assert.match((await plane.cli('get')).out, /^stopped +PENDING .*quarantined/m);
    assert.match((await plane.cli('why', 'stopped')).out, /quarantined/);
    const told = (await plane.ask('GET', '/metrics')).text;
    assert.match(told, /^holdfast_holds\{fleet="demo",reason="quarantined"\} 1$/m);
    assert.match(told, /^holdfast_quarantined\{fleet="demo"\} 2$/m, 'who runs on as declared is counted, too');
    const said = readFileSync(join(plane.data, 'holdfast.log'), 'utf8').split('\n');
    const warning = said.findLast((line) => line.includes('rows of the log cannot be read'));
    assert.match(warning ?? '', /"level":40.*"running":\d+.*"count":2/);
    assert.ok(!alive(pids['stopped']));
  });

  test('the others are as before, and are healed', async () => {
    for (const name of ['running', 'other'])
      assert.deepEqual([(await fleet.get(name)).phase, pidOf(await fleet.get(name))], ['RUNNING', pids[name]]);
    send(pids['other'], 'SIGKILL');
    await fleet.until('other', 'healed', (view) => view.phase === 'RUNNING' && pidOf(view) !== pids['other']);
  });

  test('one that runs runs on, but is not healed before somebody has looked', async () => {
    send(pids['running'], 'SIGKILL');
    const view = await fleet.until('running', 'held', ({ hold }) => hold?.reason === 'quarantined');
    assert.equal(view.resource?.state, 'stopped');
    const flaps = ofType(await fleet.events(head), 'flap.observed', 'running');
    assert.equal(flaps.length, 1, 'it is said all the same');
  });

  test('reconcile lifts it', async () => {
    for (const name of ['stopped', 'running']) {
      const { code, err } = await plane.cli('reconcile', name, '--wait');
      assert.equal(code, 0, err);
      assert.equal((await fleet.get(name)).hold, null);
      await fleet.running(name);
    }
    assert.match((await plane.ask('GET', '/metrics')).text, /^holdfast_quarantined\{fleet="demo"\} 0$/m);
  });

  test('it is shown at its own place in the log, with what it was', async () => {
    const found = ofType(await fleet.events(), 'event.quarantined');
    assert.deepEqual(
      found.map((event: EventView) => [event.instance, dataOf(event)['was']]),
      [
        ['stopped', 'command.issued'],
        ['running', 'command.issued'],
      ],
    );
    assert.ok(found.every(({ seq }) => seq <= head));
    assert.match(wordsOf(found[0], 'message'), /not JSON/);
  });

  test('and a copy of the log without its snapshot starts the same', async () => {
    await plane.end();
    rmSync(join(plane.data, 'endpoint'), { force: true });
    const db = new DatabaseSync(join(plane.data, 'holdfast.db'));
    db.exec('DELETE FROM snapshots');
    db.close();
    plane = await world.up();
    const again = plane.fleet('demo');
    await until(
      'all run',
      async () =>
        (await again.view()).targets.every(({ state }) => state === 'seen') &&
        (await again.all()).every(({ phase, hold }) => phase === 'RUNNING' && hold === null),
    );
  });
});
