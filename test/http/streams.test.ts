/** Answers that last: events as they are written, logs that are followed. */
import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { describe, test } from 'node:test';
import { STALLED_BEATS } from '../../src/http/limits.ts';
import { Refusal } from '../../src/runtime/api.ts';
import { problem, start, type Subject, until } from './server-under-test.ts';

const WATCH = '/v1/fleets/alpha/watch';
const LOGS = '/v1/fleets/alpha/instances/one/logs';

function idsOf(text: string): number[] {
  return [...text.matchAll(/^id: (\d+)$/gm)].map((found) => Number(found[1]));
}

/** The next beat, and the check of the token that goes with it. */
async function beat({ clock, control, app }: Subject, check: () => boolean, what: string): Promise<void> {
  assert.ok(!app.closing.aborted);
  const asked = control.done.filter((verb) => verb === 'identify').length;
  clock.advance(15_000);
  await until(() => check() || control.done.filter((verb) => verb === 'identify').length > asked, what);
}

describe('watch', () => {
  test('says each new event with its seq, its type and its data, and nothing from before', async (t) => {
    const { control, stream } = await start(t);
    control.emit('alpha', 'channel.up');
    const reading = await stream(WATCH);
    assert.equal(reading.status, 200);
    assert.match(String(reading.headers['content-type']), /^text\/event-stream/);
    await reading.has(': watching\n\n');
    await until(() => control.open === 1, 'the watch to begin');
    control.emit('alpha', 'plugin.ref-moved');
    await reading.has('"sha":"abc"');
    const [, block] = reading.text.split(': watching\n\n');
    const data = {
      seq: 2,
      at: '2026-01-01T00:00:01.000Z',
      type: 'plugin.ref-moved',
      instance: 'one',
      data: { source: 'file:x', sha: 'abc' },
    };
    assert.equal(block, `id: 2\nevent: plugin.ref-moved\ndata: ${JSON.stringify(data)}\n\n`);
    reading.hangUp();
  });

  test('goes on after Last-Event-ID without gap or repetition', async (t) => {
    const { control, stream } = await start(t);
    for (let i = 0; i < 3; i++) control.emit('alpha', 'channel.up');
    const first = await stream(`${WATCH}?after=0`);
    await first.has('id: 3\n');
    first.hangUp();
    await until(() => control.open === 0, 'the first watch to end');
    for (let i = 0; i < 2; i++) control.emit('alpha', 'channel.up');
    const second = await stream(`${WATCH}?after=0`, { headers: { 'last-event-id': '3' } });
    control.emit('alpha', 'channel.up');
    await second.has('id: 6\n');
    assert.deepEqual([...idsOf(first.text), ...idsOf(second.text)], [1, 2, 3, 4, 5, 6]);
    second.hangUp();
  });

  test('a Last-Event-ID that is none is 400, one that is no longer kept is 410, a fleet that is not there is 404', async (t) => {
    const { ask, control } = await start(t);
    problem(await ask('GET', WATCH, { headers: { 'last-event-id': 'last' } }), 400);
    problem(await ask('GET', '/v1/fleets/nowhere/watch'), 404);
    control.fail('events', new Refusal('gone', 'retention', 'the oldest event kept is 100'));
    problem(await ask('GET', WATCH, { headers: { 'last-event-id': '3' } }), 410);
    assert.equal(control.open, 0);
  });

  test('has a heartbeat every 15 s, so that both ends notice a dead line', async (t) => {
    const subject = await start(t);
    const reading = await subject.stream(WATCH);
    for (let i = 1; i <= 3; i++) {
      await beat(subject, () => false, 'the token to be asked about');
      await until(() => reading.text.split(': still here\n\n').length === i + 1, `heartbeat ${i}`);
    }
    reading.hangUp();
  });

  test('ends promptly, source and all, when the client hangs up', async (t) => {
    const { control, stream } = await start(t);
    const reading = await stream(WATCH);
    await until(() => control.open === 1, 'the watch to begin');
    const signal = control.calls.find((call) => call.verb === 'watch')?.args[2] as AbortSignal;
    reading.hangUp();
    await until(() => control.open === 0, 'the watch to end');
    assert.ok(signal.aborted);
  });

  test('ends when the token is dropped, and says so', async (t) => {
    const subject = await start(t);
    const reading = await subject.stream(WATCH, { token: 'read-token' });
    await subject.control.dropToken('reader');
    subject.clock.advance(15_000);
    assert.equal(await reading.ended, 'end');
    assert.match(reading.text, /event: problem\ndata: \{.*"status":401/);
    await until(() => subject.control.open === 0, 'the watch to end');
  });

  test('L71 ends when nobody can tell any more whether the token holds', async (t) => {
    const subject = await start(t);
    const reading = await subject.stream(WATCH);
    subject.control.fail('identify', new Error('the store is gone'));
    subject.clock.advance(15_000);
    assert.equal(await reading.ended, 'end');
    assert.doesNotMatch(reading.text, /store is gone/);
  });

  test('a log that breaks off is told as a problem, in words that are ours', async (t) => {
    const { control, stream } = await start(t);
    const reading = await stream(WATCH);
    await until(() => control.open === 1, 'the watch to begin');
    control.fail('watch', new Error('row 17 is broken'));
    control.emit('alpha', 'channel.up');
    control.emit('alpha', 'channel.up');
    assert.equal(await reading.ended, 'end');
    assert.match(reading.text, /event: problem\ndata: \{.*"status":500/);
    assert.doesNotMatch(reading.text, /row 17/);
  });

  test('places are bounded and given back', async (t) => {
    const { ask, control, stream } = await start(t, { limits: { longRequestsPerToken: 1 } });
    const first = await stream(WATCH);
    problem(await ask('GET', WATCH), 429);
    first.hangUp();
    await until(() => control.open === 0, 'the first watch to end');
    const second = await stream(WATCH);
    assert.equal(second.status, 200);
    second.hangUp();
  });

  test('a reader that has stopped reading is let go after a while', async (t) => {
    const subject = await start(t);
    const { control, listening } = subject;
    for (let i = 0; i < 5; i++) control.write('x'.repeat(4 * 1024 * 1024));
    const socket = createConnection({ host: '127.0.0.1', port: listening.port });
    socket.pause();
    socket.on('error', () => undefined); // it is cut off, that is what is tested
    socket.write(
      `GET ${LOGS}?follow=true HTTP/1.1\r\nHost: localhost:${listening.port}\r\nAuthorization: Bearer read-token\r\n\r\n`,
    );
    await until(() => control.logsTaken > 0, 'the log to be read');
    for (let i = 0; i < STALLED_BEATS + 3 && control.open > 0; i++)
      await beat(subject, () => control.open === 0, 'a beat');
    await until(() => control.open === 0, 'the stream to be ended');
    socket.destroy();
  });
});

describe('logs', () => {
  test('come as plain text as they were written, and end', async (t) => {
    const { ask, control } = await start(t);
    control.write('línea 1\n');
    control.write('línea 2\n');
    const answer = await ask('GET', `${LOGS}?tail=50&previous=true`, { token: 'read-token' });
    assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(answer.text, 'línea 1\nlínea 2\n');
    const call = control.calls.find(({ verb }) => verb === 'logs');
    assert.deepEqual(call?.args.slice(0, 3), ['alpha', 'one', { follow: false, tail: 50, previous: true }]);
  });

  test('are followed until the client hangs up, and then the source ends', async (t) => {
    const { control, stream } = await start(t);
    control.write('before\n');
    const reading = await stream(`${LOGS}?follow=true`);
    await reading.has('before\n');
    control.write('after\n');
    await reading.has('after\n');
    assert.equal(control.open, 1);
    reading.hangUp();
    await until(() => control.open === 0, 'the source to end');
  });

  test('begin to be answered before there is anything to say', async (t) => {
    const { control, stream } = await start(t);
    const reading = await stream(`${LOGS}?follow=true`);
    assert.equal(reading.status, 200);
    control.endLogs();
    assert.equal(await reading.ended, 'end');
  });

  test('are taken from the source no faster than the client reads', async (t) => {
    const { control, listening } = await start(t);
    const chunks = 200;
    for (let i = 0; i < chunks; i++) control.write('x'.repeat(256 * 1024));
    control.endLogs();
    const socket = createConnection({ host: '127.0.0.1', port: listening.port });
    socket.pause();
    const request = `GET ${LOGS}?follow=true HTTP/1.1\r\nHost: localhost:${listening.port}\r\nAuthorization: Bearer read-token\r\nConnection: close\r\n\r\n`;
    socket.write(request);
    await until(() => control.logsTaken > 0, 'the log to be read');
    // The source is always ready: as long as chunks are taken turn by turn, the reader is being served ahead of its reading.
    let before = -1;
    for (let quiet = 0; quiet < 50; quiet = before === control.logsTaken ? quiet + 1 : 0) {
      before = control.logsTaken;
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(
      control.logsTaken < chunks / 2,
      `${control.logsTaken} of ${chunks} chunks were taken for a reader that does not read`,
    );
    let read = 0;
    socket.on('data', (chunk: Buffer) => (read += chunk.length));
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    assert.equal(control.logsTaken, chunks);
    assert.ok(read > chunks * 256 * 1024);
  });

  test('that break off cut the connection, so that no part is taken for the whole', async (t) => {
    const { control, stream, lines } = await start(t);
    control.write('first\n');
    const reading = await stream(`${LOGS}?follow=true`);
    await reading.has('first\n');
    control.fail('logs', new Error('the file is gone'));
    control.write('second\n');
    control.write('third\n');
    assert.equal(await reading.ended, 'cut');
    assert.ok(
      lines.some(({ level, fields }) => level === 'error' && String(fields['err']).includes('the file is gone')),
    );
  });

  test('that are not there are a problem and no empty stream', async (t) => {
    const { ask, control } = await start(t);
    problem(await ask('GET', '/v1/fleets/alpha/instances/nobody/logs?follow=true'), 404);
    control.fail('logs', new Refusal('conflict', 'no-logs', 'this target keeps no logs'));
    problem(await ask('GET', LOGS), 409);
  });
});
