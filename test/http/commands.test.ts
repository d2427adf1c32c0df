/** Commands: what is accepted is carried out, and no answer claims what nobody verified. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, test } from 'node:test';
import type { WaitResult } from '../../src/runtime/api.ts';
import { problem, start, until } from './server-under-test.ts';

const ONE = '/v1/fleets/alpha/instances/one';
const SUCCEEDED: WaitResult = { outcome: 'succeeded', phase: 'STOPPED', lastError: null, hold: null };

describe('commands', () => {
  test('are answered with 202 once they are in the log, under the name of their token and with its reason', async (t) => {
    const { ask, control } = await start(t);
    for (const verb of ['reconcile', 'stop', 'resume', 'restart', 'wake']) {
      const answer = await ask('POST', `${ONE}/${verb}`, { token: 'operate-token', body: { reason: 'because' } });
      assert.equal(answer.status, 202);
      assert.equal(answer.json['instance'], 'one');
      assert.deepEqual(control.calls.at(-1)?.args, [
        'alpha',
        'one',
        verb,
        { token: 'operator', via: 'http', reason: 'because' },
      ]);
    }
  });

  test('that cannot be are 409 and name the rule', async (t) => {
    const { ask } = await start(t);
    assert.equal(problem(await ask('POST', `${ONE}/sleep`), 409)['rule'], 'not-lazy');
  });

  test('to many say who was reached, and a dry run reaches nobody', async (t) => {
    const { ask, control } = await start(t);
    const body = { verb: 'restart', select: { labels: { customer: 'one' }, phase: 'RUNNING' }, dryRun: true };
    assert.equal((await ask('POST', '/v1/fleets/alpha/commands', { body })).status, 200);
    assert.deepEqual(control.calls.at(-1)?.args.slice(0, 4), ['alpha', 'restart', body.select, true]);
    assert.equal((await ask('POST', '/v1/fleets/alpha/commands', { body: { ...body, dryRun: false } })).status, 202);
  });

  test('a deletion leaves the data to the spec, unless it says otherwise', async (t) => {
    const { ask, control } = await start(t);
    assert.equal((await ask('DELETE', ONE)).status, 202);
    assert.deepEqual(control.calls.at(-1)?.args[2], { data: null, forget: false });
    assert.equal((await ask('DELETE', `${ONE}?data=delete&forget=true`)).status, 202);
    assert.deepEqual(control.calls.at(-1)?.args[2], { data: 'delete', forget: true });
  });
});

describe('waiting', () => {
  for (const outcome of ['succeeded', 'failed', 'held'] as const) {
    test(`a command that has ${outcome} is answered with 200 and its outcome`, async (t) => {
      const { ask, control } = await start(t);
      const waiting = control.called('settled');
      const answering = ask('POST', `${ONE}/stop?wait=60s`);
      assert.deepEqual((await waiting).args.slice(0, 4), ['alpha', 'one', 1, 60_000]);
      await until(() => control.done.includes('settled'), 'the wait to begin');
      control.settle({ ...SUCCEEDED, outcome });
      const answer = await answering;
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.json, { seq: 1, instance: 'one', ...SUCCEEDED, outcome });
    });
  }

  test('L13 a command that has not come about in its time is no 200', async (t) => {
    const { ask, control } = await start(t);
    const answering = ask('POST', `${ONE}/restart?wait=1s`);
    await until(() => control.done.includes('settled'), 'the wait to begin');
    control.settle({ ...SUCCEEDED, outcome: 'timeout', phase: 'RECONCILING' });
    const answer = await answering;
    assert.equal(answer.status, 202);
    assert.equal(answer.json['outcome'], 'timeout');
  });

  test('a wait outlasts the deadline of other handlers', async (t) => {
    const { ask, control, clock } = await start(t, { limits: { handlerMs: 1_000 } });
    const answering = ask('DELETE', `${ONE}?wait=60s`);
    await until(() => control.done.includes('settled'), 'the wait to begin');
    clock.advance(59_000);
    control.settle({ ...SUCCEEDED, phase: null });
    assert.equal((await answering).status, 200);
  });

  test('a server that closes answers waits with 202: accepted, and nobody knows yet what becomes of it', async (t) => {
    const { ask, control, listening } = await start(t);
    const answering = ask('POST', `${ONE}/stop?wait=60s`);
    await until(() => control.done.includes('settled'), 'the wait to begin');
    await Promise.all([listening.close(), answering.then(({ status }) => assert.equal(status, 202))]);
  });

  test('waits take a place each and give it back', async (t) => {
    const { ask, control, app } = await start(t, { limits: { longRequests: 2, longRequestsPerToken: 1 } });
    const first = ask('POST', `${ONE}/stop?wait=60s`);
    await until(() => control.done.includes('settled'), 'the wait to begin');
    problem(await ask('POST', `${ONE}/stop?wait=60s`), 429);
    const second = ask('POST', `${ONE}/stop?wait=60s`, { token: 'operate-token' });
    await until(() => control.done.filter((verb) => verb === 'settled').length === 2, 'the second wait to begin');
    problem(await ask('GET', '/v1/fleets/alpha/watch', { token: 'read-token' }), 503);
    assert.equal((await ask('POST', `${ONE}/stop`)).status, 202, 'a command without a wait needs no place');
    control.settle(SUCCEEDED);
    assert.deepEqual([(await first).status, (await second).status], [200, 200]);
    const third = ask('POST', `${ONE}/stop?wait=60s`);
    await until(() => control.done.filter((verb) => verb === 'settled').length === 3, 'the third wait to begin');
    control.settle(SUCCEEDED);
    assert.equal((await third).status, 200);
    assert.ok(!app.closing.aborted);
  });
});

describe('clients that hang up', () => {
  test('L35 an accepted command is carried out although its client is gone', async (t) => {
    const { control, listening } = await start(t);
    const open = control.gate('command');
    const called = control.called('command');
    const socketClosed = new Promise<void>((resolve) =>
      listening.server.once('connection', (socket) => socket.once('close', () => resolve())),
    );
    const client = request({
      host: '127.0.0.1',
      port: listening.port,
      method: 'POST',
      path: `${ONE}/restart`,
      headers: { authorization: 'Bearer admin-token' },
    });
    client.on('error', () => undefined); // it hangs up on purpose
    client.end();
    await called;
    client.destroy();
    await socketClosed;
    assert.ok(!control.done.includes('command'));
    open();
    await until(() => control.done.includes('command'), 'the command to be carried out');
  });

  test('a wait ends with its client, the command does not', async (t) => {
    const { control, listening } = await start(t);
    const waiting = control.called('settled');
    const client = request({
      host: '127.0.0.1',
      port: listening.port,
      method: 'POST',
      path: `${ONE}/restart?wait=10m`,
      headers: { authorization: 'Bearer admin-token' },
    });
    client.on('error', () => undefined); // it hangs up on purpose
    client.end();
    const signal = (await waiting).args[4] as AbortSignal;
    client.destroy();
    await until(() => signal.aborted, 'the wait to be called off');
    assert.ok(control.done.includes('command'));
  });
});
