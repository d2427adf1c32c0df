/** Everything that is not the asked-for answer is a problem that says what to do about it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FencedError, StoreError } from '../../src/ports/store.ts';
import { Refusal } from '../../src/runtime/api.ts';
import { problem, start, until } from './server-under-test.ts';

const ONE = '/v1/fleets/alpha/instances/one';

function errorsOf(document: Record<string, unknown>): { path: string; line: number | null; message: string }[] {
  return document['errors'] as { path: string; line: number | null; message: string }[];
}

describe('routing', () => {
  test('a path that is not there is 404', async (t) => {
    const { ask } = await start(t);
    for (const path of [
      '/',
      '/v1',
      '/v1/fleets/',
      `${ONE}/explode`,
      '/v1/fleets/alpha/secret',
      '/v1/heartbeats',
      '/V1/fleets',
    ]) {
      problem(await ask('GET', path), 404);
    }
  });

  test('a method that is not offered is 405 and says which are', async (t) => {
    const { ask } = await start(t);
    const answer = await ask('PATCH', '/v1/fleets/alpha');
    problem(answer, 405);
    assert.equal(answer.headers.allow, 'DELETE, GET, PUT');
    problem(await ask('GET', `${ONE}/stop`), 405);
    problem(await ask('OPTIONS', '/v1/fleets'), 405);
  });

  test('HEAD is GET without a body, except for streams', async (t) => {
    const { ask, control } = await start(t);
    const head = await ask('HEAD', '/v1/fleets');
    assert.deepEqual([head.status, head.text], [200, '']);
    for (const path of ['/v1/fleets/alpha/watch', `${ONE}/logs?follow=true`])
      assert.equal((await ask('HEAD', path)).status, 405);
    assert.equal(control.open, 0);
  });
});

describe('input', () => {
  test('every mistake in path, query and body is listed at once, with its path', async (t) => {
    const { ask, control } = await start(t);
    const answer = await ask('POST', `/v1/fleets/alpha/instances/NOT_OK/stop?wait=soon&force=true`, {
      body: { reason: 7, raeson: 'typo' },
    });
    const errors = errorsOf(problem(answer, 422));
    assert.deepEqual(errors.map(({ path }) => path).sort(), [
      'path.name',
      'query.force',
      'query.wait',
      'raeson',
      'reason',
    ]);
    assert.match(errors.find(({ path }) => path === 'raeson')?.message ?? '', /did you mean "reason"/);
    assert.deepEqual(control.done, ['identify']);
  });

  const WRONG: readonly (readonly [method: string, path: string, body: object | undefined, at: string])[] = [
    ['PUT', '/v1/fleets/alpha?dryRun=yes', undefined, 'query.dryRun'],
    ['PUT', '/v1/fleets/alpha?dryRun', undefined, 'query.dryRun'],
    ['PUT', '/v1/fleets/alpha?dryrun=true', undefined, 'query.dryrun'],
    ['PUT', '/v1/fleets/alpha?prune=-1', undefined, 'query.prune'],
    ['PUT', '/v1/fleets/alpha?prune=1e3', undefined, 'query.prune'],
    ['GET', '/v1/fleets/alpha/instances?limit=501', undefined, 'query.limit'],
    ['GET', '/v1/fleets/alpha/instances?limit=1&limit=2', undefined, 'query.limit'],
    ['GET', '/v1/fleets/alpha/instances?phase=running', undefined, 'query.phase'],
    ['GET', '/v1/fleets/alpha/instances?label=customer', undefined, 'query.label[0]'],
    ['GET', '/v1/fleets/alpha/instances?cursor=***', undefined, 'query.cursor'],
    ['GET', `${ONE}/why?at=yesterday`, undefined, 'query.at'],
    ['GET', `${ONE}/logs?tail=all`, undefined, 'query.tail'],
    ['GET', '/v1/fleets/alpha/events?from=2026-01-01', undefined, 'query.from'],
    ['POST', `${ONE}/stop?wait=60`, {}, 'query.wait'],
    ['POST', `${ONE}/stop?wait=11m`, {}, 'query.wait'],
    ['DELETE', `${ONE}?data=maybe`, undefined, 'query.data'],
    ['POST', '/v1/fleets/alpha/hold', {}, 'reason'],
    ['POST', '/v1/fleets/alpha/hold', { reason: 'x', for: '5' }, 'for'],
    ['POST', '/v1/fleets/alpha/hold', { reason: 'x', instances: ['one', 'T W O'] }, 'instances[1]'],
    ['POST', '/v1/fleets/alpha/override', {}, ''],
    ['POST', '/v1/fleets/alpha/override', { rollout: true, identity: 'x' }, ''],
    ['POST', '/v1/fleets/alpha/commands', { verb: 'explode', select: {} }, 'verb'],
    ['POST', '/v1/fleets/alpha/commands', { verb: 'stop' }, 'select'],
    ['POST', '/v1/fleets/alpha/commands', { verb: 'stop', select: { label: {} } }, 'select.label'],
    ['POST', '/v1/fleets/alpha/debug/replay-events', { edits: [{ drop: 'all' }] }, 'edits[0]'],
    ['POST', '/v1/fleets/alpha/debug/replay-events', { policy: { giveUpAfter: '10' } }, 'policy.giveUpAfter'],
    ['POST', '/v1/fleets/alpha/orphans/prune', { expected: '1' }, 'expected'],
    ['POST', '/v1/tokens', { name: 'ci', scope: 'root' }, 'scope'],
    ['POST', '/v1/tokens', { name: 'ci', scope: 'read', fleets: [] }, 'fleets'],
  ];
  for (const [method, path, body, at] of WRONG) {
    test(`${method} ${path} ${body === undefined ? '' : JSON.stringify(body)} is 422 at "${at}"`, async (t) => {
      const { ask, control } = await start(t);
      const errors = errorsOf(problem(await ask(method, path, body === undefined ? {} : { body }), 422));
      assert.deepEqual(
        errors.map((error) => error.path),
        [at],
      );
      assert.deepEqual(control.done, ['identify']);
    });
  }

  test('a body that is not JSON is 400 with the line, and is not repeated', async (t) => {
    const { ask } = await start(t);
    const headers = { 'content-type': 'application/json' };
    const answer = await ask('POST', `${ONE}/stop`, { body: '{\n"reason": "sesame",\n}', headers });
    assert.equal(errorsOf(problem(answer, 400))[0]?.line, 3);
    const other = await ask('POST', `${ONE}/stop`, { body: '{\n"reason": sesame\n}', headers });
    problem(other, 400);
    assert.doesNotMatch(answer.text + other.text, /sesame/);
  });

  test('a body of another kind, packed, or no text at all is refused', async (t) => {
    const { ask } = await start(t);
    const type = { 'content-type': 'application/json' };
    problem(await ask('POST', `${ONE}/stop`, { body: '{}', headers: { 'content-type': 'text/plain' } }), 415);
    problem(await ask('POST', `${ONE}/stop`, { body: '{}', headers: { ...type, 'content-encoding': 'gzip' } }), 415);
    problem(await ask('POST', `${ONE}/stop`, { body: Buffer.from([0x22, 0xff, 0x22]), headers: type }), 400);
    problem(await ask('POST', '/v1/fleets/alpha/hold'), 400);
  });

  test('a body may be left out where nothing in it is needed', async (t) => {
    const { ask } = await start(t);
    assert.equal((await ask('POST', `${ONE}/stop`)).status, 202);
  });
});

describe('sizes', () => {
  test('a command of more than 64 KiB is 413, whether or not it says its length', async (t) => {
    const { ask } = await start(t);
    const body = JSON.stringify({ reason: 'x'.repeat(70_000) });
    const type = { 'content-type': 'application/json' };
    problem(await ask('POST', `${ONE}/stop`, { body, headers: type }), 413);
    problem(await ask('POST', `${ONE}/stop`, { body, headers: type, chunked: true }), 413);
  });

  test('a manifest may have 4 MiB and not a byte more', async (t) => {
    const { ask, control } = await start(t);
    const most = '#'.repeat(4 * 1024 * 1024);
    assert.equal((await ask('PUT', '/v1/fleets/alpha', { body: most })).status, 200);
    problem(await ask('PUT', '/v1/fleets/alpha', { body: `${most}#` }), 413);
    assert.equal(control.done.filter((verb) => verb === 'apply').length, 1);
  });

  test('more requests than a token may make are 429 with Retry-After, and its neighbours do not notice', async (t) => {
    const { ask, clock } = await start(t, { limits: { perToken: { burst: 2, perSecond: 0.5 } } });
    for (let i = 0; i < 2; i++) assert.equal((await ask('GET', '/v1/fleets')).status, 200);
    const refused = await ask('GET', '/v1/fleets');
    problem(refused, 429);
    assert.equal(refused.headers['retry-after'], '2');
    assert.equal((await ask('GET', '/v1/fleets', { token: 'read-token' })).status, 200);
    clock.advance(2_000);
    assert.equal((await ask('GET', '/v1/fleets')).status, 200);
  });

  test('requests without a token are counted by address, except /healthz', async (t) => {
    const { ask } = await start(t, { limits: { perAddress: { burst: 1, perSecond: 1 } } });
    assert.equal((await ask('GET', '/readyz', { token: null })).status, 200);
    problem(await ask('GET', '/readyz', { token: null }), 429);
    for (let i = 0; i < 3; i++) assert.equal((await ask('GET', '/healthz', { token: null })).status, 200);
  });
});

describe('what the runtime refuses', () => {
  const KINDS = [
    ['invalid', 422],
    ['not-found', 404],
    ['conflict', 409],
    ['stale-revision', 412],
    ['forbidden', 403],
    ['unavailable', 503],
    ['gone', 410],
  ] as const;
  for (const [kind, status] of KINDS) {
    test(`${kind} is ${status}, in its own words and with its rule`, async (t) => {
      const { ask, control } = await start(t);
      control.fail(
        'fleet',
        new Refusal(kind, 'the-rule', 'in its own words', [{ path: 'a.b', line: 3, message: 'this one' }]),
      );
      const answer = await ask('GET', '/v1/fleets/alpha');
      const document = problem(answer, status);
      assert.equal(document['rule'], 'the-rule');
      assert.equal(document['detail'], 'in its own words');
      assert.deepEqual(errorsOf(document), [{ path: 'a.b', line: 3, message: 'this one' }]);
      assert.equal('retry-after' in answer.headers, status === 503);
    });
  }

  test('a store that fails and an owner that was replaced are 503, not 500', async (t) => {
    const { ask, control } = await start(t);
    control.fail('fleet', new StoreError('full', 'the disk is full'));
    assert.match(String(problem(await ask('GET', '/v1/fleets/alpha'), 503)['detail']), /disk is full/);
    control.fail('fleet', new FencedError('epoch 3 is over'));
    problem(await ask('GET', '/v1/fleets/alpha'), 503);
  });

  test('an error that nobody foresaw is 500 with an id, and only the log has its words', async (t) => {
    const { ask, control, lines } = await start(t);
    for (const thrown of [new Error('password is hunter2'), 'a string', null]) {
      control.fail('fleet', thrown);
      const answer = await ask('GET', '/v1/fleets/alpha');
      const { id } = problem(answer, 500);
      assert.doesNotMatch(answer.text, /hunter2|a string/);
      assert.ok(
        lines.some(({ level, fields }) => level === 'error' && fields['requestId'] === id && fields['err'] === thrown),
      );
    }
  });
});

describe('time', () => {
  test('a handler without an answer in time is 503, and what it began goes on', async (t) => {
    const { ask, control, clock } = await start(t, { limits: { handlerMs: 1_000 } });
    const open = control.gate('command');
    const called = control.called('command');
    const answering = ask('POST', `${ONE}/stop`);
    await called;
    clock.advance(1_001);
    assert.match(String(problem(await answering, 503)['detail']), /may still take effect/);
    open();
    await until(() => control.done.includes('command'), 'the command to be carried out');
  });
});
