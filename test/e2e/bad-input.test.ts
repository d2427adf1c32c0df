/** Bad input over HTTP: refused with what is wrong and where, and nothing of it reaches the log. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { FleetView, TokenView } from '../../src/runtime/api.ts';
import { openWorld, pidOf, type Answer, type Fleet, type Plane, type ProblemBody, type World } from '../support/e2e.ts';

interface Refused {
  readonly title: string;
  readonly lines: readonly string[];
  /** Path and line of an error that must be among those told, and words of its message. */
  readonly at: readonly [path: string, line: number, words: RegExp];
}

const RUN = 'run: { command: [node, agent.mjs] }';
const head = ['version: 1', 'fleet: demo', 'instances:'];

const REFUSED: readonly Refused[] = [
  {
    title: 'an unknown key',
    lines: [...head, '  one:', '    target: process', `    ${RUN}`, '    replicas: 3'],
    at: ['instances.one.replicas', 7, /unknown key/],
  },
  {
    title: 'an unknown key inside of run',
    lines: [...head, '  one:', '    target: process', '    run:', '      command: [node]', '      comand: [x]'],
    at: ['instances.one.run.comand', 8, /unknown key/],
  },
  {
    title: 'a wrong type',
    lines: [...head, '  one:', '    target: process', '    run: { command: node agent.mjs }'],
    at: ['instances.one.run.command', 6, /list/],
  },
  {
    title: 'a time without its unit',
    lines: [...head, '  one: { target: process, run: { command: [node] }, lifecycle: lazy,', '    idleAfter: 30 }'],
    at: ['instances.one.idleAfter', 5, /unit/],
  },
  {
    title: 'a duplicate name',
    lines: [...head, `  one: { target: process, ${RUN} }`, `  one: { target: process, ${RUN} }`],
    at: ['instances.one', 5, /twice|duplicate|again/],
  },
  {
    title: 'a bad name',
    lines: [...head, `  one: { target: process, ${RUN} }`, `  Not_A_Name: { target: process, ${RUN} }`],
    at: ['instances.Not_A_Name', 5, /lower-case/],
  },
  {
    title: 'an impossible combination',
    lines: [...head, `  one: { target: process, ${RUN}, lifecycle: hot,`, '    idleAfter: 10m }'],
    at: ['instances.one.idleAfter', 5, /never sleeps/],
  },
  {
    title: 'an unknown target',
    lines: [...head, `  one: { target: proces, ${RUN} }`],
    at: ['instances.one.target', 4, /did you mean "process"/],
  },
  {
    title: 'a relative path',
    lines: [...head, '  one: { target: process, run: { command: [node, agent.mjs],', '    cwd: ./here } }'],
    at: ['instances.one.run.cwd', 5, /relative/],
  },
  {
    title: 'a secret that is not stored',
    lines: [...head, '  one: { target: process, run: { command: [node], env: {', '    KEY: "${secret:llm}" } } }'],
    at: ['instances.one.run.env.KEY', 5, /llm/],
  },
  {
    title: 'another fleet than that of the address',
    lines: ['version: 1', 'fleet: other', 'instances: {}'],
    at: ['fleet', 2, /other/],
  },
  { title: 'another version', lines: ['version: 2', 'fleet: demo', 'instances: {}'], at: ['version', 1, /version: 1/] },
  {
    title: 'what is no YAML',
    lines: ['version: 1', 'fleet: demo', 'instances: {', '  one: ['],
    at: ['', 5, /must be sufficiently indented and end/],
  },
  { title: 'nothing at all', lines: [''], at: ['', 1, /empty/] },
];

describe('bad input', () => {
  let world: World;
  let plane: Plane;
  let fleet: Fleet;
  let pid: number;

  before(async () => {
    world = await openWorld();
    plane = await world.up();
    fleet = plane.fleet('demo');
    await fleet.declare({ instances: { living: { target: 'process', run: { command: world.agent() } } } });
    pid = await fleet.running('living');
  });
  after(() => world.close());

  /** Whatever `attempt` does, log, manifest and agents are as before. */
  async function leavesAlone<T>(attempt: () => Promise<T>): Promise<T> {
    const before = await fleet.view();
    const result = await attempt();
    const after: FleetView = await fleet.view();
    assert.deepEqual([after.head, after.revision, after.instances], [before.head, before.revision, before.instances]);
    assert.equal(pidOf(await fleet.get('living')), pid);
    return result;
  }

  const put = (text: string, more: { readonly [name: string]: string } = {}): Promise<Answer<ProblemBody>> =>
    plane.ask('PUT', '/v1/fleets/demo', {
      body: Buffer.from(text),
      headers: { 'content-type': 'application/yaml', ...more },
    });

  describe('in a manifest is refused with its path and line:', () => {
    for (const {
      title,
      lines,
      at: [path, line, words],
    } of REFUSED) {
      test(title, async () => {
        const answer = await leavesAlone(() => put(`${lines.join('\n')}\n`));
        assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}: ${answer.text}`);
        assert.equal(answer.headers['content-type'], 'application/problem+json');
        const told = answer.body.errors.find((error) => error.path === path && error.line === line);
        assert.ok(told, `none at ${path}, line ${line}: ${JSON.stringify(answer.body.errors)}`);
        assert.match(told.message, words);
      });
    }

    test('and all errors at once', async () => {
      const text = [
        ...head,
        `  one: { target: nowhere, ${RUN} }`,
        '  Two: {}',
        `  three: { target: process, ${RUN}, colour: red, shape: 1 }`,
      ].join('\n');
      const { body } = await leavesAlone(() => put(text));
      const told = body.errors.map(({ path, line }) => `${path} ${line}`).sort();
      assert.deepEqual(told, [
        'instances.Two 5',
        'instances.one.target 4',
        'instances.three.colour 6',
        'instances.three.shape 6',
      ]);
      assert.match(body.detail, /4 errors; nothing was applied/);
    });
  });

  test('a body of 10 MB is refused by its size', async () => {
    // A client that wants the connection closed may find it closed while it still sends, and lose the answer.
    const answer = await leavesAlone(() => put('#'.repeat(10 * 1024 * 1024), { connection: 'keep-alive' }));
    assert.deepEqual([answer.status, answer.body.type], [413, 'urn:holdfast:problem:too-large']);
    assert.match(answer.body.detail, /at most \d+ bytes/);
  });

  test('a YAML bomb is refused, at once, and the server goes on', async () => {
    const levels = Array.from(
      { length: 12 },
      (_, at) => `l${at + 1}: &l${at + 1} [${Array(10).fill(`*l${at}`).join(', ')}]`,
    );
    const began = performance.now();
    const answer = await leavesAlone(() =>
      put(['version: 1', 'fleet: demo', 'l0: &l0 [x]', ...levels, 'instances: { one: *l12 }'].join('\n')),
    );
    assert.ok(answer.status >= 400 && answer.status < 500, answer.text.slice(0, 500));
    assert.ok(
      answer.body.errors.some(({ line }) => line !== null && line > 3),
      answer.text.slice(0, 500),
    );
    assert.ok(performance.now() - began < 5_000);
  });

  test('a body in another encoding, a broken one, and parameters that mean nothing are refused', async () => {
    const statuses = await leavesAlone(async () => [
      (await put('version: 1', { 'content-encoding': 'gzip' })).status,
      (
        await plane.ask('PUT', '/v1/fleets/demo', {
          body: Buffer.from([0xff, 0xfe, 0x41]),
          headers: { 'content-type': 'application/yaml' },
        })
      ).status,
      (await fleet.post('hold', 'no reason in here')).status,
      (await fleet.post('hold', { reason: 'x', until: 'doomsday' })).status,
      (await plane.ask('GET', '/v1/fleets/demo/instances?phase=HAPPY')).status,
      (await plane.ask('POST', '/v1/fleets/demo/instances/living/stop?wait=forever')).status,
    ]);
    assert.deepEqual(statuses, [415, 400, 400, 422, 422, 422]);
  });

  describe('and who may not ask', () => {
    const stop = '/v1/fleets/demo/instances/living/stop';

    test('without a token, with a wrong one, or with one that was voided: 401', async () => {
      const made = await plane.ask<TokenView & { token: string }>('POST', '/v1/tokens', {
        body: { name: 'void', scope: 'admin' },
      });
      assert.equal(made.status, 201, made.text);
      assert.equal((await plane.ask('DELETE', '/v1/tokens/void')).status, 204);
      const statuses = await leavesAlone(async () => [
        (await plane.ask('POST', stop, { token: null })).status,
        (await plane.ask('POST', stop, { token: 'hf_wrong' })).status,
        (await plane.ask('POST', stop, { token: made.body.token })).status,
        (await plane.ask('POST', '/v1/fleets/demo/debug/reconcile-dry-run', { token: null })).status,
        (await plane.ask('GET', '/metrics', { token: null })).status,
      ]);
      assert.deepEqual(statuses, [401, 401, 401, 401, 401]);
      assert.equal((await plane.ask('GET', '/healthz', { token: null })).status, 200);
    });

    test('with the wrong scope, or for another fleet: 403', async () => {
      const read = await plane.json<TokenView & { token: string }>('token', 'create', 'reader', '--scope', 'read');
      const other = await plane.json<TokenView & { token: string }>(
        'token',
        'create',
        'stranger',
        '--scope',
        'operate',
        '--for',
        'elsewhere',
      );
      const manifest = { version: 1, fleet: 'demo', instances: {} };
      const statuses = await leavesAlone(async () => [
        (await plane.ask('GET', '/v1/fleets/demo', { token: read.token })).status,
        (await plane.ask('POST', stop, { token: read.token })).status,
        (await plane.ask('PUT', '/v1/fleets/demo', { token: read.token, body: manifest })).status,
        (await plane.ask('POST', '/v1/tokens', { token: read.token, body: { name: 'more', scope: 'admin' } })).status,
        (await plane.ask('POST', stop, { token: other.token })).status,
        (await plane.ask('GET', '/v1/fleets/demo', { token: other.token })).status,
      ]);
      assert.deepEqual(statuses, [200, 403, 403, 403, 403, 403]);
    });

    test('through a foreign name, or from a page of elsewhere: refused before anything is looked at', async () => {
      const refused = await leavesAlone(() =>
        Promise.all([
          plane.ask<ProblemBody>('POST', stop, { headers: { host: 'attacker.example' } }),
          plane.ask<ProblemBody>('POST', stop, { headers: { host: `localhost:${plane.port + 1}` } }),
          plane.ask<ProblemBody>('POST', stop, { headers: { origin: 'https://attacker.example' } }),
          plane.ask<ProblemBody>('POST', stop, { headers: { 'sec-fetch-site': 'same-site' } }),
          plane.ask<ProblemBody>('POST', `${stop}?token=${plane.token}`),
        ]),
      );
      assert.deepEqual(
        refused.map(({ status }) => status),
        [421, 421, 403, 403, 400],
      );
      for (const { headers } of refused) assert.equal(headers['access-control-allow-origin'], undefined);
      assert.equal(
        (await plane.ask('GET', '/v1/fleets/demo', { headers: { host: `localhost:${plane.port}` } })).status,
        200,
      );
    });
  });

  test('of all that, the server has written no stack trace', async () => {
    assert.doesNotMatch(plane.said(), /\n\s+at /);
    const { code, out, err } = await plane.cli('stop', 'nobody');
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, /^[^\n]*no instance called "nobody"[^\n]*\n$/);
  });
});
