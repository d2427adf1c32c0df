/**
 * Sentry, from a broken invariant in a real server to the envelope that arrives.
 *
 * A server that is well breaks no invariant, so a damaged record stands in for a fault of ours: behind the server's back, the
 * log is made to say that one agent's resource is the other's. The next start finds two that hold one (invariant 3).
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { openWorld, until } from '../support/e2e.ts';
import { readExposition } from '../support/exposition.ts';
import { KEY, sink } from '../support/sentry-sink.ts';

test('L50 a broken invariant of a real server is one event for each whom it is about, sent by the exit', async (t) => {
  const { dsn, taken } = await sink(t);
  const world = await openWorld();
  t.after(() => world.close());
  const data = join(world.folder, 'data');
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(join(data, 'holdfast.yaml'), JSON.stringify({ sentryDsn: dsn }));
  let plane = await world.up();
  let fleet = plane.fleet('demo');
  const bot = { target: 'process', run: { command: world.agent() } };
  await fleet.declare({ instances: { a: bot, b: bot } });
  for (const name of ['a', 'b']) await fleet.running(name);
  const [a, b] = [await fleet.get('a'), await fleet.get('b')];
  await plane.kill();
  assert.equal(taken.length, 0, 'nothing was told of a server that is well');

  world.falsified(data);
  const db = new DatabaseSync(join(data, 'holdfast.db'));
  db.prepare("UPDATE events SET data = replace(data, ?, ?) WHERE instance = 'b'").run(
    String(b.resource?.['ref']),
    String(a.resource?.['ref']),
  );
  db.close();
  plane = await world.up();
  fleet = plane.fleet('demo');
  await until('it is counted', async () => {
    const told = readExposition((await plane.ask('GET', '/metrics')).text);
    return told.value('holdfast_invariant_violations_total', { fleet: 'demo', invariant: '3' }) >= 2;
  });
  // More ticks, about both.
  for (let i = 0; i < 5; i += 1) for (const name of ['a', 'b']) await fleet.post(`instances/${name}/reconcile?wait=1s`);
  const ended = await plane.end();
  assert.equal(ended.code, 0, ended.err);
  // At the exit all is sent: nothing is waited for here.
  const events = taken.map(({ envelope }) => envelope.items[0]?.body ?? {});
  assert.deepEqual(
    events.map(({ tags }) => (tags as { instance: string }).instance).toSorted(),
    ['a', 'b'],
    JSON.stringify(events),
  );
  for (const { message, tags, fingerprint, level } of events) {
    assert.match(String(message), /^invariant 3 does not hold in fleet demo, instance [ab]: /);
    assert.deepEqual([(tags as { fleet: string }).fleet, level], ['demo', 'error']);
    assert.deepEqual(fingerprint, ['holdfast-invariant', '3', 'demo']);
  }
  assert.ok(!taken.some(({ text }) => text.includes(world.folder)), 'a path of this machine was told');
});

test('without a DSN nothing of Sentry is loaded', async () => {
  const loaded: string[] = [];
  const hooks = registerHooks({
    load(url, context, next) {
      if (url.includes('@sentry/')) loaded.push(url);
      return next(url, context);
    },
  });
  const path = mkdtempSync(join(tmpdir(), 'holdfast-sentry-'));
  try {
    const { compose } = await import('../../src/runtime/compose.ts');
    const { openDataFolder } = await import('../../src/runtime/data-folder.ts');
    const { silentLog } = await import('../../src/runtime/log.ts');
    const once = async (): Promise<void> => {
      const log = { ...silentLog, level: 'silent' };
      const composed = await compose(openDataFolder(path, path), { storeUrl: null, log });
      await composed.start();
      await composed.control.metrics();
      await composed.stop({ agents: false });
    };
    await once();
    assert.deepEqual(loaded, []);
    // That it would be seen.
    writeFileSync(join(path, 'holdfast.yaml'), JSON.stringify({ sentryDsn: `http://${KEY}@127.0.0.1:1/42` }));
    await once();
    assert.ok(loaded.length > 0);
  } finally {
    hooks.deregister();
    rmSync(path, { recursive: true, force: true });
  }
});
