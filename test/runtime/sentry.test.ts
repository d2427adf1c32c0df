/** What Sentry is told, read from real envelopes by a sink that stands in its place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Violation } from '../../src/core/invariants.ts';
import { FLUSH_MS, SENT_PER_HOUR } from '../../src/observe/limits.ts';
import { openSentry, type Sentry } from '../../src/observe/sentry.ts';
import { KEY, sink } from '../support/sentry-sink.ts';

async function opened(dsn: string, mono: () => number = () => 0): Promise<{ sentry: Sentry; warned: string[] }> {
  const warned: string[] = [];
  const sentry = await openSentry({ dsn, version: '1.2.3', mono, warn: (message) => warned.push(message) });
  return { sentry, warned };
}

const BROKEN: Violation = {
  invariant: 7,
  message: 'it is held (budget), and stands in no line',
  instance: 'scribe',
  uid: 'u1',
  recovery: 'mark-dirty',
};

test('an envelope holds the violation, what it is grouped by, and nothing of this machine', async (t) => {
  const { dsn, taken } = await sink(t);
  const { sentry, warned } = await opened(dsn);
  sentry.violated('demo', BROKEN);
  await sentry.close();
  assert.deepEqual(warned, []);
  assert.equal(taken.length, 1);
  const [{ envelope, text, url } = assert.fail()] = taken;
  assert.match(url, /^\/api\/42\/envelope\//);
  assert.equal(envelope.items.length, 1);
  const [{ header, body } = assert.fail()] = envelope.items;
  assert.equal(header.type, 'event');
  assert.equal(
    body['message'],
    'invariant 7 does not hold in fleet demo, instance scribe: it is held (budget), and stands in no line',
  );
  assert.deepEqual(body['tags'], { invariant: '7', fleet: 'demo', instance: 'scribe', recovery: 'mark-dirty' });
  assert.deepEqual(body['fingerprint'], ['holdfast-invariant', '7', 'demo']);
  assert.equal(body['level'], 'error');
  assert.equal(body['release'], 'holdfast@1.2.3');
  assert.match((body['extra'] as { sentence: string }).sentence, /^Nothing is stuck silently/);
  for (const key of ['server_name', 'user', 'request', 'breadcrumbs', 'modules', 'exception'])
    assert.ok(!(key in body), key);
  for (const name of ['HOME', 'PATH', 'HOSTNAME']) {
    const value = process.env[name];
    if (value !== undefined && value.length > 4) assert.ok(!text.includes(value), `${name} is in it`);
  }
});

test('L50 no more than so many are sent within an hour, whatever breaks', async (t) => {
  const { dsn, taken } = await sink(t);
  let now = 0;
  const { sentry } = await opened(dsn, () => now);
  for (let at = 0; at < 20; at += 1) sentry.violated('demo', { ...BROKEN, uid: `u${at}` });
  while (taken.length < 20) await new Promise((resolve) => setTimeout(resolve, 5));
  for (let at = 20; at < SENT_PER_HOUR + 50; at += 1) {
    sentry.violated('demo', { ...BROKEN, uid: `u${at}` });
    if (at % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  now += 2 * 60 * 60_000;
  await sentry.close();
  assert.ok(taken.length <= SENT_PER_HOUR, `${taken.length} were sent`);
});

test('a Sentry that hangs keeps an exit waiting only so long, and says so without the key', async (t) => {
  const { dsn } = await sink(t, () => undefined);
  const { sentry, warned } = await opened(dsn);
  sentry.violated('demo', BROKEN);
  const began = performance.now();
  await sentry.close();
  assert.ok(performance.now() - began < FLUSH_MS + 10_000);
  assert.match(warned.join(' '), /not everything could be told to Sentry/);
  assert.ok(!warned.join(' ').includes(KEY));
});

test('a Sentry that is down or refuses costs a line in the log', async (t) => {
  const refusing = await sink(t, (response) => {
    response.statusCode = 403;
    response.end();
  });
  const down = await opened(`http://${KEY}@127.0.0.1:1/42`);
  const refused = await opened(refusing.dsn);
  for (const { sentry } of [down, refused]) {
    sentry.violated('demo', BROKEN);
    await sentry.close();
  }
  assert.match(down.warned.join(' '), /could not be reached.*(ECONNREFUSED|bad port)/);
  assert.match(refused.warned.join(' '), /answered 403/);
});

test('a DSN that is none is refused with a sentence', async () => {
  await assert.rejects(opened('https://nowhere'), /sentryDsn is no DSN/);
});
