/** The socket: what keeps us from listening, and how we stop. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createApp, listen } from '../../src/http/server.ts';
import { createFakeControl } from '../support/fake-control.ts';
import { start, until } from './server-under-test.ts';

test('a port in use is said in one sentence with the cure', async (t) => {
  const { listening } = await start(t);
  const app = createApp(createFakeControl());
  await assert.rejects(listen(app, { host: '127.0.0.1', port: listening.port }), {
    message: `127.0.0.1:${listening.port} is already in use, perhaps by another Holdfast; stop that one or choose another address with --listen.`,
  });
});

test('an address that is not ours is said in one sentence with the cure', async () => {
  const app = createApp(createFakeControl());
  await assert.rejects(
    listen(app, { host: '203.0.113.7', port: 0 }),
    /203\.0\.113\.7 is no address of this machine; choose one with --listen/,
  );
});

test('closing ends streams, finishes what is being answered, and takes no more', async (t) => {
  const { control, listening, ask, stream } = await start(t);
  const reading = await stream('/v1/fleets/alpha/watch');
  const open = control.gate('command');
  const called = control.called('command');
  const answering = ask('POST', '/v1/fleets/alpha/instances/one/stop');
  await called;
  const closing = listening.close();
  assert.equal(await reading.ended, 'end');
  await until(() => control.open === 0, 'the watch to end');
  await assert.rejects(ask('GET', '/healthz'), /ECONNREFUSED/);
  open();
  const answer = await answering;
  assert.equal(answer.status, 202);
  assert.equal(answer.headers.connection, 'close');
  await closing;
});

test('closing twice is closing once', async (t) => {
  const { listening } = await start(t);
  await Promise.all([listening.close(), listening.close()]);
  await listening.close();
});

test('what is still being answered after the grace is cut off', async (t) => {
  const { control, listening, ask } = await start(t);
  control.gate('command');
  const called = control.called('command');
  const answering = ask('POST', '/v1/fleets/alpha/instances/one/stop');
  const outcome = answering.then(
    () => 'answered',
    () => 'cut off',
  );
  await called;
  await listening.close(0);
  assert.equal(await outcome, 'cut off');
});

test('the node server has bounds for slow clients and for their number', async (t) => {
  const { server } = (await start(t)).listening;
  assert.ok(server.headersTimeout > 0 && server.headersTimeout <= 60_000);
  assert.ok(server.requestTimeout > 0 && server.requestTimeout <= 120_000);
  assert.ok(server.keepAliveTimeout > 0);
  assert.ok((server.maxConnections ?? 0) > 0);
});
