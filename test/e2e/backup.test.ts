/** A backup taken while agents are at work is a whole log; restored on the same host it finds the agents that run, and takes no other. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { EventView, Orphan, Page } from '../../src/runtime/api.ts';
import type { Copied } from '../../src/cli/backup.ts';
import { alive, openWorld, pidOf, until, type Fleet, type Plane, type World } from '../support/e2e.ts';

describe('backup and restore', () => {
  let world: World;
  let plane: Plane;
  let fleet: Fleet;
  let copied: Copied;
  let inBackup: readonly EventView[];
  const pids: { [name: string]: number } = {};
  const place = (name: string): string => join(world.folder, name);

  before(async () => {
    world = await openWorld();
    plane = await world.up();
    fleet = plane.fleet('demo');
    const bot = { target: 'process', run: { command: world.agent() } };
    const stored = await plane.ask('PUT', '/v1/fleets/demo/secrets/llm', { body: { value: 'sk-quite-secret' } });
    assert.ok(stored.status < 300, stored.text);
    await fleet.declare({
      instances: {
        one: { ...bot, run: { ...bot.run, env: { KEY: '${secret:llm}' } } },
        dozer: { ...bot, lifecycle: 'lazy' },
      },
    });
    pids['one'] = await fleet.running('one');
    await fleet.until('dozer', 'asleep', ({ phase }) => phase === 'SLEEPING');
  });
  after(() => world.close());

  test('while commands are carried out, the copy is one file, whole, and without a key', async () => {
    writeFileSync(join(plane.data, 'holdfast.yaml'), 'retention: { days: 7 }\n');
    const copying = new AbortController();
    const busy = (async () => {
      while (!copying.signal.aborted) await plane.ask('POST', '/v1/fleets/demo/instances/dozer/reconcile');
    })();
    copied = await plane.json<Copied>('backup', place('backup'));
    copying.abort();
    await busy;
    assert.deepEqual(readdirSync(place('backup')).sort(), ['holdfast.db', 'holdfast.yaml']);
    for (const file of ['', 'holdfast.db', 'holdfast.yaml'])
      assert.equal(statSync(join(place('backup'), file)).mode & 0o077, 0, file);
    assert.deepEqual(copied.keys, ['secret.key', 'agent.key']);
    const [log] = copied.fleets;
    assert.equal(log?.fleet, 'demo');
    inBackup = (await fleet.events()).slice(0, log.head);
    assert.ok((await fleet.view()).head > log.head, 'it went on meanwhile');
  });

  test('nothing is written over, and what is no backup is said to be none', async () => {
    for (const args of [
      ['backup', place('backup')],
      ['restore', place('backup')],
    ]) {
      const { code, out, err } = await plane.cli(...args);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, /^\S+ is not empty, and nothing is written over: name a new or an empty folder\.\n$/);
    }
    mkdirSync(place('no-backup'));
    const refused = async (words: RegExp): Promise<void> => {
      const { code, err } = await world.run(...holdfast('restore', place('no-backup'), '--data', place('never')));
      assert.equal(code, 2, err);
      assert.match(err, words);
      assert.doesNotMatch(err, /\n\s+at /);
      assert.ok(!existsSync(place('never')) && !existsSync(place('never.part')));
    };
    await refused(/^There is no holdfast\.db in /);
    copyFileSync(join(place('backup'), 'holdfast.db'), join(place('no-backup'), 'holdfast.db'));
    truncateSync(join(place('no-backup'), 'holdfast.db'), 20_000);
    await refused(/is damaged/);
  });

  test('L73 beside the original, a restored copy is refused', async () => {
    const { code, err } = await world.run(...holdfast('restore', place('backup'), '--data', place('restored')));
    assert.equal(code, 0, err);
    const started = await world.refused({ data: place('restored') });
    assert.match(started.err, /already being run on this host by process/);
  });

  test('L53 restored, it is the log of then; what runs is adopted, and what came later is an orphan that is left alone', async () => {
    const bot = { target: 'process', run: { command: world.agent() } };
    await fleet.apply({
      instances: { one: { ...bot, run: { ...bot.run, env: { KEY: '${secret:llm}' } } }, dozer: bot, later: bot },
    });
    pids['later'] = await fleet.running('later');
    await fleet.running('dozer');
    await plane.end();
    // The first start without the key has changed nothing.
    assert.match((await world.refused({ data: place('restored') })).err, /secret\.key/);
    for (const key of copied.keys) copyFileSync(join(plane.data, key), join(place('restored'), key));
    plane = await world.up({ data: place('restored') });
    fleet = plane.fleet('demo');
    const one = await fleet.until('one', 'RUNNING', ({ phase }) => phase === 'RUNNING');
    assert.equal(pidOf(one), pids['one']);
    const orphans = await until('the later one is listed', async () => {
      const { items } = (await plane.ask<Page<Orphan>>('GET', '/v1/fleets/demo/orphans')).body;
      return items.length > 0 ? items : null;
    });
    assert.deepEqual(
      orphans.map(({ instance, state }) => [instance, state]),
      [['later', 'running']],
    );
    assert.ok(alive(pids['later']));
    assert.deepEqual((await fleet.events()).slice(0, inBackup.length), inBackup);
    const { code, out } = await plane.cli('verify');
    assert.equal(code, 0, out);
    assert.equal(readFileSync(join(plane.data, 'holdfast.yaml'), 'utf8'), 'retention: { days: 7 }\n');
  });
});

/** The command line, without a server of its own. */
function holdfast(...args: readonly string[]): [string, readonly string[]] {
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  return [process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args]];
}
