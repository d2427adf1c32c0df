/** What the routes hand to the runtime and what they answer: fleets, instances, events, debugging, orphans. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OPERATOR_ROUTES, pathOf, titleOf } from './every-route.ts';
import { problem, start, type Subject } from './server-under-test.ts';

const BY = { token: 'root', via: 'http' };

function given(subject: Subject, verb: string): readonly unknown[] {
  const call = subject.control.calls.findLast((one) => one.verb === verb);
  assert.ok(call !== undefined, `${verb} was not called`);
  return call.args;
}

describe('answers', () => {
  for (const route of OPERATOR_ROUTES.filter(({ path, status }) => !/watch|logs/.test(path) && (status ?? 200) < 300)) {
    test(`${titleOf(route)} answers what its schema says`, async (t) => {
      const { app, ask } = await start(t);
      const answer = await ask(route.method, pathOf(route), route.body === undefined ? {} : { body: route.body });
      const served = app.routes.find(({ method, path }) => `${method.toUpperCase()} ${path}` === titleOf(route));
      const shape = served?.answers[answer.status];
      assert.ok(shape !== undefined, `${answer.status} is not documented: ${answer.text}`);
      if (shape.schema === undefined) assert.equal(answer.text, '');
      else if (shape.type?.startsWith('text/') === true)
        assert.match(String(answer.headers['content-type']), /^text\/plain/);
      else if (shape.type === 'application/x-ndjson') {
        assert.match(String(answer.headers['content-type']), /^application\/x-ndjson/);
        for (const line of answer.text.trimEnd().split('\n')) assert.ok(JSON.parse(line));
      } else shape.schema.parse(answer.json);
    });
  }
});

describe('health', () => {
  test('/readyz is 503 with every reason while the control plane does not do its work, also without a token', async (t) => {
    const { ask, control } = await start(t);
    control.readiness = {
      ready: false,
      because: ['fleet "alpha": the last good tick was 80 s ago.', 'the store does not answer.'],
    };
    const answer = await ask('GET', '/readyz', { token: null });
    const document = problem(answer, 503);
    assert.equal(document['ready'], false);
    assert.deepEqual(document['because'], control.readiness.because);
    assert.equal((await ask('GET', '/healthz', { token: null })).status, 200);
  });

  test('L09 /healthz fails, and says what helps, when only a new start would', async (t) => {
    const { ask, control } = await start(t);
    control.aliveness = { ready: false, because: ['fleet "alpha": a tick has been running for 80 s'] };
    const answer = await ask('GET', '/healthz', { token: null });
    assert.match(String(problem(answer, 503)['detail']), /running for 80 s.* Start Holdfast anew/);
  });

  test('/readyz is a problem, and not green, when even that cannot be told', async (t) => {
    const { ask, control } = await start(t);
    control.fail('ready', new Error('wedged'));
    problem(await ask('GET', '/readyz'), 500);
  });

  test('/metrics speaks the Prometheus text format', async (t) => {
    const { ask } = await start(t);
    const answer = await ask('GET', '/metrics');
    assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    assert.match(answer.text, /^# TYPE holdfast_log_head gauge\n/);
  });

  test('/schema/manifest.json is a JSON Schema of 2020-12', async (t) => {
    const { ask } = await start(t);
    const { json } = await ask('GET', '/schema/manifest.json', { token: null });
    assert.equal(json['$schema'], 'https://json-schema.org/draft/2020-12/schema');
  });
});

describe('manifests', () => {
  test('what is applied is handed on as it came, with everything that was said about it', async (t) => {
    const subject = await start(t);
    const text = 'version: 1 # ä\nfleet: alpha\n';
    const answer = await subject.ask('PUT', '/v1/fleets/alpha?dryRun=true&prune=1&replace=true', {
      body: text,
      headers: { 'if-match': '"r1"' },
    });
    assert.equal(answer.status, 200);
    assert.deepEqual(given(subject, 'apply'), [
      'alpha',
      { text, dryRun: true, prune: 1, ifMatch: 'r1', replace: true, by: BY },
    ]);
    assert.equal(answer.headers.etag, `"${String(answer.json['revision'])}"`);
  });

  test('what was not said is no dry run, prunes nothing, replaces nothing and minds no revision', async (t) => {
    const subject = await start(t);
    await subject.ask('PUT', '/v1/fleets/alpha', { body: '{}' });
    const [, ask] = given(subject, 'apply');
    assert.deepEqual(ask, { text: '{}', dryRun: false, prune: null, ifMatch: null, replace: false, by: BY });
  });

  test('of two who change the same revision, the second is 412 and nothing is lost', async (t) => {
    const { ask } = await start(t);
    const { etag } = (await ask('GET', '/v1/fleets/alpha/manifest')).headers;
    assert.equal(etag, '"r1"');
    const first = await ask('PUT', '/v1/fleets/alpha', { body: 'a: 1', headers: { 'if-match': etag } });
    assert.equal(first.status, 200);
    problem(await ask('PUT', '/v1/fleets/alpha', { body: 'a: 2', headers: { 'if-match': etag } }), 412);
    const again = await ask('PUT', '/v1/fleets/alpha', {
      body: 'a: 2',
      headers: { 'if-match': String(first.headers.etag) },
    });
    assert.equal(again.status, 200);
  });

  test('an If-Match that is no single revision is refused instead of ignored', async (t) => {
    const { ask, control } = await start(t);
    for (const match of ['*', '"a", "b"', 'W/"r1"', '']) {
      problem(await ask('PUT', '/v1/fleets/alpha', { body: 'a: 1', headers: { 'if-match': match } }), 400);
    }
    assert.ok(!control.done.includes('apply'));
  });

  test('a malformed manifest is 422 with path and line', async (t) => {
    const { ask } = await start(t);
    const document = problem(await ask('PUT', '/v1/fleets/alpha', { body: 'a:\n\t- b' }), 422);
    assert.deepEqual(document['errors'], [{ path: 'instances', line: 2, message: 'a tab' }]);
  });

  test('a wrong number of instances to prune is 409 and names the rule', async (t) => {
    const { ask } = await start(t);
    assert.equal(problem(await ask('PUT', '/v1/fleets/alpha?prune=7', { body: 'a: 1' }), 409)['rule'], 'prune-count');
  });

  test('the manifest comes back as a document that can be applied, at its revision', async (t) => {
    const { ask } = await start(t);
    assert.deepEqual((await ask('GET', '/v1/fleets/alpha/manifest?revision=r1')).json, {
      version: 1,
      fleet: 'alpha',
      instances: {},
    });
    problem(await ask('GET', '/v1/fleets/alpha/manifest?revision=r0'), 404);
  });

  test('only an empty fleet can be dropped', async (t) => {
    const { ask } = await start(t);
    assert.equal(problem(await ask('DELETE', '/v1/fleets/alpha'), 409)['rule'], 'fleet-not-empty');
    assert.equal((await ask('DELETE', '/v1/fleets/empty')).status, 204);
    problem(await ask('GET', '/v1/fleets/empty'), 404);
  });
});

describe('holds', () => {
  test('hold, release and override hand on what was said, with the reason in the log', async (t) => {
    const subject = await start(t);
    const { ask } = subject;
    await ask('POST', '/v1/fleets/alpha/hold', {
      body: { reason: 'night', for: '8h', target: 'box1', instances: ['one'] },
    });
    const by = { ...BY, reason: 'night' };
    assert.deepEqual(given(subject, 'hold')[1], {
      reason: 'night',
      forMs: 28_800_000,
      target: 'box1',
      instances: ['one'],
      by,
    });
    await ask('POST', '/v1/fleets/alpha/hold', { body: { reason: 'night' } });
    assert.deepEqual(given(subject, 'hold')[1], { reason: 'night', forMs: null, target: null, instances: null, by });
    await ask('POST', '/v1/fleets/alpha/release', { body: { target: 'box1' } });
    assert.deepEqual(given(subject, 'release')[1], { target: 'box1', instances: null, by: BY });
    await ask('POST', '/v1/fleets/alpha/override', { body: { target: 'box1', identity: 'engine-2', reason: 'moved' } });
    assert.deepEqual(given(subject, 'override')[1], {
      target: 'box1',
      identity: 'engine-2',
      rollout: false,
      by: { ...BY, reason: 'moved' },
    });
  });
});

describe('instances', () => {
  test('pages follow one another by an opaque cursor, without gap or repetition', async (t) => {
    const { ask } = await start(t);
    const seen: string[] = [];
    let cursor = '';
    for (let page = 0; page < 10; page++) {
      const { json } = await ask(
        'GET',
        `/v1/fleets/alpha/instances?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`,
      );
      seen.push(...(json['items'] as { name: string }[]).map(({ name }) => name));
      if (json['next'] === null) break;
      cursor = json['next'] as string;
      assert.ok(!seen.includes(cursor), 'the cursor shows what is in it');
    }
    assert.deepEqual(seen, ['one', 'three', 'two']);
  });

  test('labels must all match, and their values may have an equals sign', async (t) => {
    const subject = await start(t);
    const { json } = await subject.ask(
      'GET',
      '/v1/fleets/alpha/instances?label=customer%3Done&label=__proto__=a%3Db&phase=RUNNING',
    );
    assert.deepEqual(json['items'], []);
    assert.deepEqual(given(subject, 'instances')[1], {
      phase: 'RUNNING',
      labels: Object.fromEntries([
        ['customer', 'one'],
        ['__proto__', 'a=b'],
      ]),
      limit: 100,
      cursor: null,
    });
  });

  test('lists have no specs, single instances do', async (t) => {
    const { ask } = await start(t);
    const { json } = await ask('GET', '/v1/fleets/alpha/instances');
    assert.ok((json['items'] as object[]).every((item) => !('spec' in item)));
    assert.ok('spec' in (await ask('GET', '/v1/fleets/alpha/instances/one')).json);
    problem(await ask('GET', '/v1/fleets/alpha/instances/nobody'), 404);
  });

  test('why is asked now, at a seq, or at a time', async (t) => {
    const subject = await start(t);
    for (const [query, at] of [
      ['', null],
      ['?at=17', '17'],
      ['?at=2026-01-01T00:00:00%2B02:00', '2026-01-01T00:00:00+02:00'],
    ] as const) {
      assert.equal((await subject.ask('GET', `/v1/fleets/alpha/instances/one/why${query}`)).status, 200);
      assert.equal(given(subject, 'why')[2], at);
    }
  });
});

describe('events', () => {
  test('pages go on after the seq that the one before named', async (t) => {
    const { ask, control } = await start(t);
    for (let i = 0; i < 3; i++) control.emit('alpha', 'channel.up');
    const first = (await ask('GET', '/v1/fleets/alpha/events?limit=2')).json;
    assert.equal(first['next'], '2');
    const second = (await ask('GET', `/v1/fleets/alpha/events?limit=2&after=${first['next']}`)).json;
    assert.deepEqual(
      (second['items'] as { seq: number }[]).map(({ seq }) => seq),
      [3],
    );
    assert.equal(second['next'], null);
  });

  test('from and to are seqs or times, both included', async (t) => {
    const { ask, control } = await start(t);
    for (let i = 0; i < 4; i++) control.emit('alpha', 'channel.up'); // one second apart, from midnight on
    const seqs = async (query: string): Promise<number[]> =>
      ((await ask('GET', `/v1/fleets/alpha/events?${query}`)).json['items'] as { seq: number }[]).map(({ seq }) => seq);
    assert.deepEqual(await seqs('from=2&to=3'), [2, 3]);
    assert.deepEqual(await seqs('from=2026-01-01T00:00:01Z&to=2026-01-01T00:00:02Z'), [2, 3]);
    assert.deepEqual(await seqs('from=2026-01-01T00:00:02.500Z'), [4]);
    assert.deepEqual(await seqs('from=2&after=3'), [4]);
  });
});

describe('debugging', () => {
  test('a replay hands on its stretch, its edits, and just the policy that was said', async (t) => {
    const subject = await start(t);
    const body = {
      from: 3,
      to: '2026-01-01T00:00:00Z',
      instance: 'one',
      policy: { giveUpAfter: 3, retryErrorEvery: '5m' },
      edits: [{ drop: 4 }, { seq: 5, data: { kind: 'x', list: [1, null] } }],
    };
    assert.equal((await subject.ask('POST', '/v1/fleets/alpha/debug/replay-events', { body })).status, 200);
    const policy = { giveUpAfter: 3, retryErrorEveryMs: 300_000 };
    assert.deepEqual(given(subject, 'replay')[1], { ...body, policy, skip: null, limit: null });
    await subject.ask('POST', '/v1/fleets/alpha/debug/replay-events');
    const nothing = { from: null, to: null, instance: null, policy: null, edits: [], skip: null, limit: null };
    assert.deepEqual(given(subject, 'replay')[1], nothing);
  });

  test('a replay whose client wants to know how far it is tells it, and then what came of it', async (t) => {
    const { ask } = await start(t);
    const headers = { accept: 'text/event-stream' };
    const told = await ask('POST', '/v1/fleets/alpha/debug/replay-events', { headers });
    assert.equal(told.status, 200);
    assert.deepEqual(
      [...told.text.matchAll(/^event: (\w+)$/gm)].map(([, event]) => event),
      ['progress', 'result'],
    );
    const refused = await ask('POST', '/v1/fleets/nowhere/debug/replay-events', { headers });
    assert.match(refused.text, /^event: problem\ndata: \{.*"status":404/m);
  });

  test('what is judged by those who watch cannot be tried as a policy, and is refused with words', async (t) => {
    const { ask } = await start(t);
    const tried = async (policy: object): Promise<string> =>
      String(problem(await ask('POST', '/v1/fleets/alpha/debug/replay-events', { body: { policy } }), 422)['detail']);
    assert.match(await tried({ silentAfter: '5s' }), /baked into the recorded facts/);
    assert.match(await tried({ patience: 3 }), /"patience" is no part of the policy; it holds giveUpAfter/);
  });
});

describe('orphans', () => {
  test('they are removed only when the caller knows how many there are', async (t) => {
    const { ask } = await start(t);
    assert.equal(((await ask('GET', '/v1/fleets/alpha/orphans')).json['items'] as object[]).length, 1);
    problem(await ask('POST', '/v1/fleets/alpha/orphans/prune', { body: { expected: 2 } }), 409);
    assert.equal((await ask('POST', '/v1/fleets/alpha/orphans/prune', { body: { expected: 1 } })).status, 200);
  });
});
