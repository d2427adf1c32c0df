/** What agents say over HTTP, with tokens of their own kind: what is read, what is refused, and in which order. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, test } from 'node:test';
import { Refusal } from '../../src/runtime/api.ts';
import { AGENT, GONE_AGENT } from '../support/fake-control.ts';
import { problem, start } from './server-under-test.ts';

const BEAT = '/v1/heartbeat';
const full = {
  status: 'ready',
  errorRate: 0.25,
  activeTasks: 2,
  version: '1.2.3',
  message: 'fine',
  work: 41,
  configHash: 'c1:abc',
  usage: { tokens: 1_000, usd: 0.5 },
};

describe('a heartbeat', () => {
  test('is heard with everything that it says, and answered with what is wanted and when to come again', async (t) => {
    const { ask, control } = await start(t);
    const answer = await ask('POST', BEAT, { token: AGENT, body: { ...full, mood: 'unknown fields are passed over' } });
    assert.deepEqual([answer.status, answer.json], [200, { ok: true, desired: 'running', nextSeconds: 30 }]);
    assert.deepEqual(control.beats, [full]);
  });

  test('may say nothing at all, and in any content type', async (t) => {
    const { ask, control } = await start(t);
    for (const body of [undefined, '', '{}', ' \n']) {
      const answer = await ask('POST', BEAT, {
        token: AGENT,
        ...(body === undefined ? {} : { body, headers: { 'content-type': 'text/plain' } }),
      });
      assert.equal(answer.status, 200, answer.text);
    }
    assert.equal((await ask('POST', BEAT, { token: AGENT, body: '{"work":1}', chunked: true })).status, 200);
    assert.equal(control.beats.length, 5);
    assert.equal(control.beats.at(-1)?.work, 1);
  });

  test('takes null for not said, and cuts long words instead of refusing a sick agent', async (t) => {
    const { ask, control } = await start(t);
    assert.equal(
      (await ask('POST', BEAT, { token: AGENT, body: { status: null, usage: null, message: 'x'.repeat(9_000) } }))
        .status,
      200,
    );
    assert.equal(control.beats[0]?.status, undefined);
    assert.equal(control.beats[0]?.message?.length, 2_000);
  });

  for (const [what, body, path] of [
    ['a negative number', '{"activeTasks":-1}', 'activeTasks'],
    ['a rate above 1', '{"errorRate":1.5}', 'errorRate'],
    ['a number without end', '{"errorRate":1e999}', 'errorRate'],
    ['a number as a text', '{"errorRate":"NaN"}', 'errorRate'],
    ['NaN, as Python writes it', '{"errorRate": NaN}', ''],
    ['an absurd number of tasks', '{"activeTasks":1e15}', 'activeTasks'],
    ['half a task', '{"activeTasks":0.5}', 'activeTasks'],
    ['work that cannot be counted exactly', '{"work":1e300}', 'work'],
    ['work below nothing', '{"work":-1}', 'work'],
    ['a status that is no text', '{"status":{}}', 'status'],
    ['usage that is a list', '{"usage":[]}', 'usage'],
    ['negative money', '{"usage":{"usd":-3}}', 'usage.usd'],
    ['a list', '[]', ''],
    ['null', 'null', ''],
  ] as const) {
    test(`with ${what} is 422, names the field, and changes nothing`, async (t) => {
      const { ask, control } = await start(t);
      const document = problem(await ask('POST', BEAT, { token: AGENT, body }), 422);
      assert.equal((document['errors'] as { path: string }[])[0]?.path, path);
      assert.deepEqual(control.beats, []);
    });
  }

  test('that is no JSON is 400, a compressed one 415', async (t) => {
    const { ask } = await start(t);
    problem(await ask('POST', BEAT, { token: AGENT, body: '{"work":' }), 400);
    problem(await ask('POST', BEAT, { token: AGENT, body: '{}', headers: { 'content-encoding': 'gzip' } }), 415);
  });

  for (const [how, more] of [
    ['that says so', {}],
    ['that does not say so', { chunked: true }],
  ] as const) {
    test(`of a megabyte, ${how}, is 413, and the next one is heard`, async (t) => {
      const { ask, control } = await start(t);
      const body = `{"message":"${'x'.repeat(1_000_000)}"}`;
      problem(await ask('POST', BEAT, { token: AGENT, body, ...more }), 413);
      assert.equal((await ask('POST', BEAT, { token: AGENT, body: '{}' })).status, 200);
      assert.deepEqual(control.beats, [{ ...control.beats[0] }]);
    });
  }

  test('L71 without a token, or with one that is no agent’s, is 401 before a word of it is read', async (t) => {
    const { ask, control } = await start(t);
    for (const token of [null, 'admin-token', `${AGENT}x`, 'x'.repeat(2_000)]) {
      const answer = await ask('POST', BEAT, { token, body: '{"work":' });
      problem(answer, 401);
      assert.match(String(answer.headers['www-authenticate']), /^Bearer /);
    }
    assert.deepEqual(control.beats, []);
  });

  test('of a deleted one is 410', async (t) => {
    const { ask } = await start(t);
    assert.equal(problem(await ask('POST', BEAT, { token: GONE_AGENT, body: full }), 410)['rule'], 'deleted');
  });

  test('L71 is 503 while nobody can tell, and says when to come again', async (t) => {
    const { ask, control } = await start(t);
    control.fail('heartbeat', new Refusal('unavailable', 'log-not-writable', 'the disk is full'));
    const answer = await ask('POST', BEAT, { token: AGENT, body: full });
    assert.equal(problem(answer, 503)['rule'], 'log-not-writable');
    assert.ok(Number(answer.headers['retry-after']) > 0);
  });

  test('many wrong tokens are slowed down, and a right one from the same address is not', async (t) => {
    const { ask } = await start(t, { limits: { failedAuth: { burst: 3, perSecond: 1 } } });
    for (let n = 0; n < 3; n += 1) problem(await ask('POST', BEAT, { token: 'hfi_wrong', body: '{}' }), 401);
    problem(await ask('POST', BEAT, { token: 'hfi_wrong', body: '{}' }), 429);
    assert.equal((await ask('POST', BEAT, { token: AGENT, body: '{}' })).status, 200);
  });

  test('one agent that storms is slowed down by itself', async (t) => {
    const { ask } = await start(t, { limits: { perToken: { burst: 1, perSecond: 1 } } });
    for (let n = 0; n < 2; n += 1) assert.equal((await ask('POST', BEAT, { token: AGENT, body: '{}' })).status, 200);
    problem(await ask('POST', BEAT, { token: AGENT, body: '{}' }), 429);
    assert.equal((await ask('GET', '/v1/fleets')).status, 200);
  });

  test('whose client hangs up before its end is given up, and not waited for', async (t) => {
    const { listening, control } = await start(t);
    const open = control.gate('heartbeat');
    const called = control.called('heartbeat');
    const headers = { authorization: `Bearer ${AGENT}`, 'content-length': '10' };
    const asking = request({
      host: '127.0.0.1',
      port: listening.port,
      method: 'POST',
      path: BEAT,
      headers,
      agent: false,
    });
    asking.on('error', () => undefined);
    asking.write('{"wor');
    await called;
    const closed = new Promise((resolve) => asking.once('close', resolve));
    asking.destroy();
    await closed;
    open();
    await listening.close();
    assert.deepEqual(control.beats, []);
  });

  test('leaves no line in the log, and its token nowhere', async (t) => {
    const { ask, lines } = await start(t);
    await ask('POST', BEAT, { token: AGENT, body: full });
    await ask('POST', BEAT, { token: GONE_AGENT, body: full });
    assert.deepEqual(
      lines.filter(({ level }) => level !== 'debug'),
      [],
    );
    assert.ok(!JSON.stringify(lines).includes('mmmm'));
  });
});

test('a new agent token is shown once, with who asked for it and why', async (t) => {
  const { ask, control } = await start(t);
  const answer = await ask('POST', '/v1/fleets/alpha/instances/one/token', { body: { reason: 'moved' } });
  assert.deepEqual(
    [answer.status, answer.json],
    [201, { fleet: 'alpha', instance: 'one', uid: 'uid-one', token: AGENT }],
  );
  const call = control.calls.find(({ verb }) => verb === 'renewAgentToken');
  assert.deepEqual(call?.args, ['alpha', 'one', { token: 'root', via: 'http', reason: 'moved' }]);
});
