/** `apply` and `diff`: the file as it is sent, what is said of it, and following it until it is so. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { InstanceView } from '../../src/runtime/api.ts';
import { cli, temporaryFolder } from './support/cli.ts';
import {
  applyResult,
  EVENTS,
  fakeApi,
  fleetView,
  instanceView,
  problem,
  WRITTEN,
  type Answer,
} from './support/fake-api.ts';

const MANIFEST = `# the demo
version: 1
fleet: demo
instances:
  scribe:
    target: process
    run:
      command: [node, agent.ts]
      cwd: ./agents # beside the file
`;

function manifestIn(folder: string, text = MANIFEST): string {
  mkdirSync(join(folder, 'sub'), { recursive: true });
  writeFileSync(join(folder, 'sub', 'fleet.yaml'), text);
  return folder;
}

/** A watch that says nothing and stays open. */
const SILENT: Answer = (_asked, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(': watching\n\n');
  return WRITTEN;
};

/** Answers each view in turn, the last for ever. */
function turns(views: readonly InstanceView[]): Answer {
  let at = 0;
  return () => views[Math.min(at++, views.length - 1)];
}

test('the text is sent as it was written, with relative paths resolved from the folder of the file', async () => {
  using folder = temporaryFolder();
  await using api = await fakeApi();
  const { code } = await cli('apply -f sub/fleet.yaml', { api, cwd: manifestIn(folder.path) });
  assert.equal(code, 0);
  const sent = api.asked.find(({ method }) => method === 'PUT');
  assert.equal(sent?.headers['content-type'], 'application/yaml');
  assert.equal(sent?.body, MANIFEST.replace('./agents', JSON.stringify(join(folder.path, 'sub', 'agents'))));
});

test('a manifest from standard input is resolved from where the command runs', async () => {
  using folder = temporaryFolder();
  await using api = await fakeApi();
  assert.equal((await cli('apply -f -', { api, cwd: folder.path, stdin: MANIFEST })).code, 0);
  assert.ok(api.asked.at(-1)?.body.includes(join(folder.path, 'agents')));
});

test('errors of the server are said as file, line and path, as editors read them', async () => {
  using folder = temporaryFolder();
  const errors = [
    { path: 'instances.scribe.run.command', line: 8, message: 'expected a list' },
    { path: '', line: null, message: 'no target' },
  ];
  await using api = await fakeApi({
    'PUT /v1/fleets/demo': () => problem(422, 'the manifest has 2 errors', { errors }),
  });
  const cwd = manifestIn(folder.path);
  const people = await cli('apply -f sub/fleet.yaml', { api, cwd });
  assert.equal(people.code, 2);
  assert.equal(
    people.err,
    `${join('sub', 'fleet.yaml')}:8: instances.scribe.run.command: expected a list\n${join('sub', 'fleet.yaml')}: no target\n`,
  );
  const programs = await cli('apply -f sub/fleet.yaml -o json', { api, cwd });
  assert.deepEqual((JSON.parse(programs.err) as { errors: unknown }).errors, errors);
});

test('a file that is no YAML is refused with its line before anything is sent', async () => {
  using folder = temporaryFolder();
  await using api = await fakeApi();
  const { code, err } = await cli('apply -f sub/fleet.yaml', {
    api,
    cwd: manifestIn(folder.path, 'version: 1\nfleet: demo\nfleet: again\n'),
  });
  assert.equal(code, 2);
  assert.match(err, /fleet\.yaml:3: fleet: said twice/);
  assert.deepEqual(api.asked, []);
});

test('a file that is not there is said so', async () => {
  const { code, err } = await cli('apply -f nowhere.yaml', { env: { HOLDFAST_URL: 'http://127.0.0.1:1' } });
  assert.equal(code, 2);
  assert.match(err, /nowhere\.yaml cannot be read: there is no such file/);
});

test('--fleet that contradicts the file is refused', async () => {
  using folder = temporaryFolder();
  const { code, err } = await cli('apply -f sub/fleet.yaml --fleet prod', { cwd: manifestIn(folder.path) });
  assert.equal(code, 2);
  assert.match(err, /declares fleet "demo", but you said "prod"/);
});

test('an apply says what each edit does to what runs', async () => {
  using folder = temporaryFolder();
  const results = [
    {
      name: 'a',
      result: 'updated',
      effect: 'recreate',
      because: ['run.image'],
      diff: [{ path: 'run.image', from: 'bot:3', to: 'bot:4' }],
      note: null,
    },
    { name: 'b', result: 'pruned', effect: 'delete', because: [], diff: [], note: 'its data is kept' },
    { name: 'c', result: 'unchanged', effect: 'none', because: [], diff: [], note: null },
  ] as const;
  await using api = await fakeApi({ 'PUT /v1/fleets/demo': () => applyResult({ results }) });
  const { out } = await cli('apply -f sub/fleet.yaml --prune 1 --replace', { api, cwd: manifestIn(folder.path) });
  assert.match(
    out,
    /~ a updated: it is recreated, its data kept, because of run\.image\n {4}run\.image: bot:3 → bot:4/,
  );
  assert.match(out, /- b pruned: it is deleted\n {4}its data is kept/);
  assert.match(out, /1 updated, 1 pruned, 1 unchanged; revision r2/);
  assert.ok(api.asked.some(({ path }) => path === '/v1/fleets/demo?prune=1&replace=true'));
});

test('L56: what the file no longer has is named each time, with the command that would delete it', async () => {
  using folder = temporaryFolder();
  const results = ['old-1', 'old-2'].map(
    (name) => ({ name, result: 'undeclared', effect: 'none', because: [], diff: [], note: null }) as const,
  );
  await using api = await fakeApi({ 'PUT /v1/fleets/demo': () => applyResult({ results }) });
  const cwd = manifestIn(folder.path);
  const { code, out } = await cli('apply -f sub/fleet.yaml', { api, cwd });
  assert.equal(code, 0);
  assert.match(
    out,
    /2 instances no longer in the file and left as they are: old-1, old-2\.\nTo delete them: holdfast apply -f sub\/fleet\.yaml --prune 2/,
  );
  assert.equal((await cli('diff -f sub/fleet.yaml', { api, cwd })).code, 1);
});

test('diff exits with 0 when nothing differs, 1 when something does, 2 when it cannot say', async () => {
  using folder = temporaryFolder();
  const cwd = manifestIn(folder.path);
  const same = applyResult({
    dryRun: true,
    revision: 'r1',
    results: [{ name: 'scribe', result: 'unchanged', effect: 'none', because: [], diff: [], note: null }],
  });
  await using api = await fakeApi({ 'PUT /v1/fleets/demo': () => same });
  assert.equal((await cli('diff -f sub/fleet.yaml', { api, cwd })).code, 0);
  assert.ok(api.asked.some(({ path }) => path === '/v1/fleets/demo?dryRun=true'));
  // The instances are the same, the policy is not.
  api.routes.set('PUT /v1/fleets/demo', () => ({ ...same, revision: 'r9' }));
  assert.equal((await cli('diff -f sub/fleet.yaml', { api, cwd })).code, 1);
  api.routes.set('PUT /v1/fleets/demo', () => applyResult({ dryRun: true }));
  assert.equal((await cli('diff -f sub/fleet.yaml', { api, cwd })).code, 1);
  api.routes.set('PUT /v1/fleets/demo', () => problem(500, 'broken'));
  assert.equal((await cli('diff -f sub/fleet.yaml', { api, cwd })).code, 2);
});

test('a dry run that would be refused says so and exits with 1', async () => {
  using folder = temporaryFolder();
  const problems = [{ instance: 'scribe', message: 'its target cannot change without --replace' }];
  await using api = await fakeApi({ 'PUT /v1/fleets/demo': () => applyResult({ dryRun: true, problems }) });
  const { code, out } = await cli('apply -f sub/fleet.yaml --dry-run', { api, cwd: manifestIn(folder.path) });
  assert.equal(code, 1);
  assert.match(out, /Refused as it is: scribe: its target cannot change without --replace/);
});

test('--wait says each change in a line where there is no terminal, and ends when all is as declared', async () => {
  using folder = temporaryFolder();
  const operation = {
    id: 'u-1/1',
    kind: 'provision',
    attempt: 1,
    startedAt: '2026-01-01T00:00:00.000Z',
    deadlineAt: '2026-01-01T00:01:00.000Z',
  } as const;
  await using api = await fakeApi({
    'GET /v1/fleets/demo/watch': SILENT,
    'GET /v1/fleets/demo': () => fleetView({ head: 22 }),
    'GET /v1/fleets/demo/instances/scribe': turns([
      instanceView({ phase: 'CREATING', reason: { rule: 'create', text: 'provision it' }, operation }),
      instanceView({ phase: 'RECONCILING', reason: { rule: 'starting', text: 'starting is not dead' } }),
      instanceView(),
    ]),
  });
  const { code, out } = await cli('apply -f sub/fleet.yaml --wait', { api, cwd: manifestIn(folder.path) });
  assert.equal(code, 0);
  assert.match(
    out,
    /scribe: CREATING: provision it\nscribe: RECONCILING: starting is not dead\nscribe: RUNNING: It runs as declared\.\nAll is as declared\.\n$/,
  );
});

test("--wait judges nothing before what was applied has been decided: an old ERROR is not the new spec's", async () => {
  using folder = temporaryFolder();
  let looks = 0;
  await using api = await fakeApi({
    'GET /v1/fleets/demo/watch': SILENT,
    'GET /v1/fleets/demo': () => fleetView(looks < 2 ? { head: 20 } : { head: 22 }),
    'GET /v1/fleets/demo/instances/scribe': () => (++looks < 3 ? instanceView({ phase: 'ERROR' }) : instanceView()),
  });
  assert.equal((await cli('apply -f sub/fleet.yaml --wait', { api, cwd: manifestIn(folder.path) })).code, 0);
  assert.ok(looks >= 3);
});

test('--wait exits with 1 and says why when something failed, is held, or is not so in time', async () => {
  using folder = temporaryFolder();
  const cwd = manifestIn(folder.path);
  const lastError = {
    code: 'command_not_found',
    message: 'nodee',
    at: '2026-01-01T00:00:00.000Z',
    operation: 'u-1/1',
    attempt: 1,
  };
  const cases: readonly (readonly [Partial<InstanceView>, RegExp])[] = [
    [
      { phase: 'ERROR', lastError },
      /1 instance of 1 not as declared:\n {2}scribe: ERROR \(failed\): command_not_found: nodee\n`holdfast why scribe`/,
    ],
    [
      { phase: 'PENDING', hold: { reason: 'operator-hold', text: 'held by alice', until: null } },
      /scribe: PENDING \(held\): held \(operator-hold\): held by alice/,
    ],
    [
      { phase: 'PENDING', hold: { reason: 'backoff', text: 'waits', until: null } },
      /not in time: scribe: PENDING \(timeout\)/,
    ],
  ];
  for (const [view, says] of cases) {
    await using api = await fakeApi({
      'GET /v1/fleets/demo/watch': SILENT,
      'GET /v1/fleets/demo': () => fleetView({ head: 22 }),
      'GET /v1/fleets/demo/instances/scribe': () => instanceView(view),
    });
    const { code, out } = await cli('apply -f sub/fleet.yaml --wait --timeout 10s', { api, cwd });
    assert.equal(code, 1);
    assert.match(out, says);
  }
});

test('--wait takes RUNNING for an answer only once it has lasted, where nothing declares liveness', async () => {
  using folder = temporaryFolder();
  const bare = { conditions: [] };
  await using api = await fakeApi({
    'GET /v1/fleets/demo/watch': SILENT,
    'GET /v1/fleets/demo': () => fleetView({ head: 22 }),
    'GET /v1/fleets/demo/instances/scribe': turns([
      // Five looks are less than the time that a crash at start takes.
      ...Array.from({ length: 5 }, () => instanceView(bare)),
      instanceView({
        ...bare,
        phase: 'ERROR',
        lastError: { code: 'exit', message: 'exit 1', at: '2026-01-01T00:00:00.000Z', operation: null, attempt: null },
      }),
    ]),
  });
  const { code } = await cli('apply -f sub/fleet.yaml --wait', { api, cwd: manifestIn(folder.path) });
  assert.equal(code, 1);
});

test('--wait is woken by the watch, and takes absence for success only where it was asked for', async () => {
  using folder = temporaryFolder();
  const results = [{ name: 'scribe', result: 'pruned', effect: 'delete', because: [], diff: [], note: null }] as const;
  let watched = false;
  await using api = await fakeApi({
    'PUT /v1/fleets/demo': () => applyResult({ results }),
    'GET /v1/fleets/demo/watch': (asked, response) => {
      assert.equal(asked.headers['last-event-id'], '21');
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`id: 30\ndata: ${JSON.stringify({ ...EVENTS[1], seq: 30 })}\n\n`);
      watched = true;
      return WRITTEN;
    },
    'GET /v1/fleets/demo/instances/scribe': () =>
      watched ? problem(404, 'gone') : instanceView({ phase: 'DELETING', desired: 'deleted' }),
  });
  const { code, out } = await cli('apply -f sub/fleet.yaml --prune 1 --wait', { api, cwd: manifestIn(folder.path) });
  assert.equal(code, 0, out);
  assert.match(out, /scribe: gone/);
});

test('--wait -o json is one document with the outcome of each', async () => {
  using folder = temporaryFolder();
  await using api = await fakeApi({
    'GET /v1/fleets/demo/watch': SILENT,
    'GET /v1/fleets/demo': () => fleetView({ head: 22 }),
  });
  const { code, out } = await cli('apply -f sub/fleet.yaml --wait -o json', { api, cwd: manifestIn(folder.path) });
  assert.equal(code, 0);
  const { revision, waited } = JSON.parse(out) as { revision: string; waited: unknown };
  assert.equal(revision, 'r2');
  assert.deepEqual(waited, [
    { instance: 'scribe', outcome: 'succeeded', phase: 'RUNNING', lastError: null, hold: null },
  ]);
});

test('on a terminal --wait draws one table in place', async () => {
  using folder = temporaryFolder();
  await using api = await fakeApi({
    'GET /v1/fleets/demo/watch': SILENT,
    'GET /v1/fleets/demo': () => fleetView({ head: 22 }),
    'GET /v1/fleets/demo/instances/scribe': turns([instanceView({ phase: 'CREATING' }), instanceView()]),
  });
  const { out } = await cli('apply -f sub/fleet.yaml --wait', {
    api,
    cwd: manifestIn(folder.path),
    tty: true,
    env: { NO_COLOR: '1' },
  });
  assert.ok(out.includes('0 of 1 as declared, 0ms\n\u001b[3A\u001b[J'), JSON.stringify(out));
  assert.match(out, /1 of 1 as declared/);
});
