/** Every command against the API's shapes: what people read, what programs read, and the exit code. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cli, temporaryFolder, type Ran } from './support/cli.ts';
import { fakeApi, fleetView, narrated, instanceView, problem, REPLAY, Status, type Asked } from './support/fake-api.ts';

interface Expected {
  readonly command: string;
  /** What people must find in it. */
  readonly says: RegExp;
  /** What programs must find in it. */
  readonly json: (value: never) => unknown;
  readonly code?: number;
  /** `METHOD path` of a request that it must make. */
  readonly asks?: string;
  readonly body?: object;
}

const EXPECTED: readonly Expected[] = [
  {
    command: 'get',
    says: /^NAME +PHASE +SINCE.*\nscribe +RUNNING +5m ago|300s ago/,
    json: (v: { items: unknown[] }) => v.items.length === 1,
  },
  { command: 'get scribe', says: /scribe/, json: (v: { name: string }) => v.name === 'scribe' },
  {
    command: 'get -l customer=acme,tier=gold --phase error',
    says: /scribe/,
    json: () => true,
    asks: 'GET /v1/fleets/demo/instances?phase=ERROR&label=customer=acme&label=tier=gold&limit=500',
  },
  {
    command: 'describe scribe',
    says: /demo\/scribe \(uid u-1, generation 3\)[\s\S]*pid: +4242[\s\S]*AgentLive +true[\s\S]*command:\n +- node/,
    json: (v: { spec: unknown }) => v.spec,
  },
  {
    command: 'why scribe',
    says: /scribe is PENDING for 5m: it needs work.*\nRow "start"[\s\S]*Held \(backoff\)[\s\S]*#17 {2}resource.observed, 1s before[\s\S]*- the backoff runs out[\s\S]*holdfast logs scribe --previous[\s\S]*operating {2}no operation/,
    json: (v: { rule: string }) => v.rule === 'start',
  },
  {
    command: 'why scribe --at 2026-01-01T00:00:00Z',
    says: /start/,
    json: () => true,
    asks: 'GET /v1/fleets/demo/instances/scribe/why?at=2026-01-01T00:00:00.000Z',
  },
  {
    command: 'history scribe --since 1h',
    says: /asked {5}restart asked, by alice via cli: "memory"\n.*decided {3}RUNNING → RECONCILING \(restart-asked\), restart.*\n.*flap +process_exited, exit 1: TypeError: no\n$/,
    json: (v: { items: unknown[] }) => v.items.length === 3,
  },
  {
    command: 'events',
    says: /#17 .*#18 .*#19 .*other: fell silent.*#20/s,
    json: (v: { items: unknown[] }) => v.items.length === 4,
  },
  {
    command: 'events --after 18 --instance scribe',
    says: /^#20 [^#]*$/,
    json: (v: { items: unknown[] }) => v.items.length === 1,
  },
  {
    command: 'restart scribe --reason x',
    says: /scribe: restart accepted \(#21\); now RECONCILING/,
    json: (v: { seq: number }) => v.seq === 21,
    asks: 'POST /v1/fleets/demo/instances/scribe/restart',
    body: { reason: 'x' },
  },
  {
    command: 'reconcile scribe --wait --timeout 30s',
    says: /^scribe: RUNNING\n$/,
    json: (v: { outcome: string }) => v.outcome === 'succeeded',
    asks: 'POST /v1/fleets/demo/instances/scribe/reconcile?wait=30s',
  },
  {
    command: 'stop -l customer=acme',
    says: /scribe: stop accepted/,
    json: (v: { results: unknown[] }) => v.results.length === 1,
    asks: 'POST /v1/fleets/demo/commands',
    body: { verb: 'stop', select: { labels: { customer: 'acme' } }, dryRun: false },
  },
  {
    command: 'wake --all --dry-run',
    says: /scribe: would be asked to wake/,
    json: (v: { dryRun: boolean }) => v.dryRun,
    asks: 'POST /v1/fleets/demo/commands',
    body: { verb: 'wake', select: { names: ['scribe'] }, dryRun: true },
  },
  { command: 'resume scribe', says: /resume accepted/, json: () => true },
  { command: 'sleep scribe', says: /sleep accepted/, json: () => true },
  {
    command: 'delete scribe --data delete --forget',
    says: /scribe: delete accepted/,
    json: (v: { seq: number }) => v.seq === 21,
    asks: 'DELETE /v1/fleets/demo/instances/scribe?data=delete&forget=true',
  },
  {
    command: 'delete scribe --wait',
    says: /scribe: /,
    json: (v: { outcome: string }) => v.outcome === 'succeeded',
    asks: 'DELETE /v1/fleets/demo/instances/scribe?wait=5m',
  },
  {
    command: 'hold --reason upgrade --for 30m --target docker scribe',
    says: /Held scribe on target docker for 30m/,
    json: (v: { id: string }) => v.id === 'h-1',
    asks: 'POST /v1/fleets/demo/hold',
    body: { reason: 'upgrade', for: '30m', target: 'docker', instances: ['scribe'] },
  },
  {
    command: 'release',
    says: /Released 1 hold on fleet demo/,
    json: (v: { released: number }) => v.released === 1,
    asks: 'POST /v1/fleets/demo/release',
    body: {},
  },
  {
    command: 'override --target docker --identity abc',
    says: /Overridden: target docker/,
    json: (v: { seq: number }) => v.seq === 23,
    asks: 'POST /v1/fleets/demo/override',
    body: { target: 'docker', identity: 'abc' },
  },
  {
    command: 'dry-run',
    says: /#20, 2 pending facts included[\s\S]*start scribe, by row "start"[\s\S]*RUNNING → PENDING[\s\S]*held \(backoff\)/,
    json: (v: { head: number }) => v.head === 20,
  },
  {
    command: 'replay --from 100 --to 200 --instance scribe',
    says: /420 events and 33 ticks[\s\S]*Every decision is as it was recorded/,
    json: (v: { events: number }) => v.events === 420,
    asks: 'POST /v1/fleets/demo/debug/replay-events',
    body: { from: 100, to: 200, instance: 'scribe' },
  },
  {
    command: 'verify',
    says: /Every decision is as it was recorded/,
    json: (v: { ticks: number }) => v.ticks === 33,
    body: {},
  },
  {
    command: 'orphans',
    says: /u-9[\s\S]*orphans prune --expect 1/,
    json: (v: { items: unknown[] }) => v.items.length === 1,
  },
  {
    command: 'orphans prune --expect 1',
    says: /Removed 1 orphan/,
    json: (v: { items: unknown[] }) => v.items.length === 1,
    asks: 'POST /v1/fleets/demo/orphans/prune',
    body: { expected: 1 },
  },
  { command: 'fleets', says: /demo +1 +20 .*1 RUNNING/, json: (v: { items: unknown[] }) => v.items.length === 1 },
  { command: 'manifest', says: /^version: 1\nfleet: demo\n/, json: (v: { version: number }) => v.version === 1 },
  {
    command: 'token create ci --scope operate --for demo --expires-in 30d',
    says: /^hf_secret\n$/,
    json: (v: { token: string }) => v.token === 'hf_secret',
    asks: 'POST /v1/tokens',
    body: { name: 'ci', scope: 'operate', fleets: ['demo'], expiresIn: '30d' },
  },
  { command: 'token list', says: /ci +operate +demo .*never/, json: (v: { items: unknown[] }) => v.items.length === 1 },
  {
    command: 'token delete ci',
    says: /"ci" is deleted/,
    json: (v: { deleted: boolean }) => v.deleted,
    asks: 'DELETE /v1/tokens/ci',
  },
  { command: 'secret list', says: /llm +3 .*scribe/, json: (v: { items: unknown[] }) => v.items.length === 1 },
  {
    command: 'secret rm llm',
    says: /"llm" is deleted/,
    json: (v: { deleted: boolean }) => v.deleted,
    asks: 'DELETE /v1/fleets/demo/secrets/llm',
  },
  {
    command: 'agent-token scribe --reason moved',
    says: /^hfi_demo\.u-1\.2\.mac\n$/,
    json: (v: { token: string }) => v.token === 'hfi_demo.u-1.2.mac',
    asks: 'POST /v1/fleets/demo/instances/scribe/token',
    body: { reason: 'moved' },
  },
  {
    command: 'doctor',
    says: /ok +node[\s\S]*ok +server[\s\S]*ok +ready[\s\S]*ok +token[\s\S]*ok +fleet demo: 1 instances/,
    json: (v: { checks: unknown[] }) => v.checks.length >= 6,
    code: 1,
  },
];

for (const { command, says, json, code = 0, asks, body } of EXPECTED) {
  test(`\`${command}\` says what the API answers, to people and to programs`, async () => {
    await using api = await fakeApi();
    const people = await cli(command, { api });
    assert.match(people.out, says);
    assert.equal(people.code, code, people.err);
    if (asks !== undefined || body !== undefined) assertAsked(api.asked, asks, body);
    const programs = await cli(`${command} -o json`, { api });
    assert.equal(programs.code, code, programs.err);
    assert.ok(json(JSON.parse(programs.out) as never), programs.out);
  });
}

function assertAsked(asked: readonly Asked[], route: string | undefined, body: object | undefined): void {
  const seen = asked.map(({ method, path }) => `${method} ${path}`);
  if (route !== undefined) assert.ok(seen.includes(route), `${route} is not among\n${seen.join('\n')}`);
  if (body === undefined) return;
  const sent = asked.find(({ method, path }) =>
    route === undefined ? method === 'POST' : `${method} ${path}` === route,
  );
  assert.deepEqual(JSON.parse(sent?.body ?? 'null'), body);
}

test('the clock of the doctor is the only thing wrong with a healthy server of another time', async () => {
  await using api = await fakeApi();
  const { out } = await cli('doctor -o json', { api });
  const { checks } = JSON.parse(out) as { checks: { check: string; ok: boolean }[] };
  assert.deepEqual(
    checks.filter(({ ok }) => !ok).map(({ check }) => check),
    ['clock'],
  );
});

test('the doctor says why the server is not ready and what is wrong with a fleet', async () => {
  await using api = await fakeApi({
    'GET /readyz': () =>
      problem(503, 'wedged', { ready: false, because: ['fleet "demo": a tick has been running for 90 s'] }),
    'GET /v1/fleets': () => ({
      items: [fleetView({ owner: null, phases: { ERROR: 2, PENDING: 1 }, errors: 3 })],
      next: null,
    }),
  });
  const { code, out } = await cli('doctor', { api });
  assert.equal(code, 1);
  assert.match(out, /wrong +ready: fleet "demo": a tick has been running for 90 s/);
  assert.match(out, /wrong +fleet demo: nobody owns it.*; 2 ERROR/);
  assert.match(out, /; 1 not in ERROR with an unresolved error/, 'a crash-looper between two lives');
});

const NOTHING = { actions: [], transitions: [], holds: [], flaps: [] };
const START = { ...NOTHING, actions: [{ instance: 'scribe', uid: 'u-1', type: 'start', rule: 'start', facts: [] }] };

const replaying = (answer: object) => ({
  'POST /v1/fleets/demo/debug/replay-events': narrated(
    ['progress', { doing: 'replaying', events: 1, of: 2 }],
    ['result', { ...REPLAY, ...answer }],
  ),
});

test('verify exits with 1 and shows the differences when this build would have decided otherwise', async () => {
  const difference = { seq: 18, instance: 'scribe', uid: 'u-1', recorded: START, computed: NOTHING, intended: false };
  const counts = { ...REPLAY.counts, differences: 1, unintended: 1 };
  await using api = await fakeApi(replaying({ differences: [difference], counts }));
  const { code, out } = await cli('verify', { api });
  assert.equal(code, 1);
  assert.match(
    out,
    /1 difference that nobody intends.*\n {2}#18 {2}scribe: recorded start \(start\); computed nothing/,
  );
});

test('verify passes where every difference is declared as intended by this build', async () => {
  const difference = { seq: 18, instance: 'scribe', uid: 'u-1', recorded: START, computed: NOTHING, intended: true };
  await using api = await fakeApi(
    replaying({ differences: [difference], counts: { ...REPLAY.counts, differences: 1 } }),
  );
  const { code, out } = await cli('verify', { api });
  assert.equal(code, 0, out);
  assert.match(out, /1 difference, each declared by this build as intended/);
});

test('a what-if replay sends the policy of the file and is labelled as one', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'p.yaml'), 'policy: { giveUpAfter: 3 }\n');
  writeFileSync(join(folder.path, 'fact.json'), '{ "ok": false, "message": "no" }');
  const counts = {
    ...REPLAY.counts,
    computed: { start: 1, restart: 2 },
    recorded: { start: 5, restart: 1 },
    transitions: { computed: { ERROR: 1 }, recorded: {} },
    differences: 7,
  };
  const decidedAtEnd = { actions: [], transitions: [], phases: { ERROR: 1 } };
  await using api = await fakeApi(replaying({ kind: 'what-if', openLoop: true, counts, decidedAtEnd }));
  const { code, out } = await cli('replay --policy p.yaml --from -7d --drop 3 --drop 4 --edit 5=fact.json', {
    api,
    cwd: folder.path,
  });
  assert.equal(code, 0);
  assert.match(out, /open loop/);
  assert.match(out, /It would have meant 4 fewer starts, 1 more restart\./);
  assert.match(out, /Phases: 1 more entry into ERROR\.\nAt the end: 1 more ERROR, 1 fewer RUNNING\./);
  const { from, ...asked } = JSON.parse(api.asked.at(-1)?.body ?? '{}') as { from: string };
  assert.match(from, /^\d{4}-/);
  assert.deepEqual(asked, {
    policy: { giveUpAfter: 3 },
    edits: [{ drop: 3 }, { drop: 4 }, { seq: 5, data: { ok: false, message: 'no' } }],
  });
});

test('a replay that is cut off is an error, and never read as one without differences', async () => {
  await using api = await fakeApi({
    'POST /v1/fleets/demo/debug/replay-events': narrated(['progress', { doing: 'folding', events: 0, of: 2 }]),
  });
  const { code, err } = await cli('verify', { api });
  assert.equal(code, 2);
  assert.match(err, /ended before the replay did/);
});

test('logs come byte for byte, with tail and previous passed on', async () => {
  await using api = await fakeApi();
  const { code, out } = await cli('logs scribe --tail 5 --previous', { api });
  assert.deepEqual([code, out], [0, 'hello\nworld\n']);
  assert.ok(api.asked.some(({ path }) => path.endsWith('/logs?tail=5&previous=true')));
});

test('a program run beside an agent gets its words as they are, and its exit code and output are the command’s', async () => {
  const result = { instance: 'scribe', code: 7, output: 'one\ntwo\n', cut: true };
  const sample = { instance: 'scribe', at: '2026-01-01T00:00:00.000Z', memoryBytes: 3 * 1024 * 1024 };
  await using api = await fakeApi({
    'POST /v1/fleets/demo/instances/scribe/exec': () => result,
    'GET /v1/fleets/demo/instances/scribe/stats': () => ({
      ...sample,
      memoryLimitBytes: 64 * 1024 * 1024,
      cpus: 0.251,
      processes: 4,
    }),
  });
  const { code, out, err } = await cli('exec scribe -- ls -l --timeout /data', { api });
  assert.deepEqual([code, out], [7, 'one\ntwo\n']);
  assert.match(err, /beginning of the output is missing/);
  const asked = api.asked.find(({ method }) => method === 'POST');
  assert.match(asked?.path ?? '', /timeout=1m$/);
  assert.deepEqual(JSON.parse(asked?.body ?? ''), { command: ['ls', '-l', '--timeout', '/data'] });
  assert.match((await cli('stats scribe', { api })).out, /0\.25 +3 MiB +64 MiB +4/);
});

test('a list is read to its last page', async () => {
  await using api = await fakeApi({
    'GET /v1/fleets/demo/instances': ({ path }) =>
      path.includes('cursor=two')
        ? { items: [instanceView({ name: 'b' })], next: null }
        : { items: [instanceView({ name: 'a' })], next: 'two' },
  });
  const { out } = await cli('get -o json', { api });
  assert.deepEqual(
    (JSON.parse(out) as { items: { name: string }[] }).items.map(({ name }) => name),
    ['a', 'b'],
  );
});

test('an unresolved error is shown in any phase, before the hold and the row', async () => {
  const lastError = {
    code: 'config_refused',
    message: 'no such key',
    at: '2026-01-01T00:00:00.000Z',
    operation: 'u-1/4',
    attempt: 2,
  };
  await using api = await fakeApi({
    'GET /v1/fleets/demo/instances': () => ({ items: [instanceView({ lastError })], next: null }),
  });
  assert.match((await cli('get', { api })).out, /RUNNING .*config_refused: no such key/);
});

test('get says what of the fleet as a whole stands in the way, which most instances do not show', async () => {
  const at = '2026-01-01T00:00:00.000Z';
  const hold = { id: 'h', reason: 'looking into it', by: 'me', at, until: null, target: null, instances: null };
  const target = {
    name: 'docker',
    identity: 'x',
    state: 'stale' as const,
    message: 'connection refused',
    breaker: null,
    blastRadius: { at, lost: 7 },
    existing: 9,
    inFlight: { run: 0, stop: 0 },
    maxInFlight: 8,
  };
  const rollout = { revision: 'r2', at, state: 'failed' as const, proved: 0, failures: 1, active: 0 };
  await using api = await fakeApi({
    'GET /v1/fleets/demo': () => fleetView({ holds: [hold], targets: [target], rollout }),
  });
  const { err } = await cli('get', { api });
  assert.match(err, /On hold \(the whole fleet\): looking into it\. "holdfast release"/);
  assert.match(err, /docker is stale: connection refused\n.*docker lost 7 at once/);
  assert.match(err, /rollout of r2 failed \(1 failure\)/);
});

test('a bulk command that some refuse exits with 1 and says why for each', async () => {
  await using api = await fakeApi({
    'POST /v1/fleets/demo/commands': () => ({
      dryRun: false,
      results: [
        { instance: 'a', accepted: true, seq: 3, because: null },
        { instance: 'b', accepted: false, seq: null, because: 'b is not lazy' },
      ],
    }),
  });
  const { code, out } = await cli('wake a b', { api });
  assert.equal(code, 1);
  assert.match(out, /a: wake accepted \(#3\)\nb: not accepted: b is not lazy/);
});

test('a command is never for everybody because something was left out', async () => {
  await using api = await fakeApi();
  const { code, err } = await cli('stop', { api });
  assert.equal(code, 2);
  assert.match(err, /Which instances\?/);
  assert.deepEqual(api.asked, []);
});

test('L13: a restart that was accepted and then failed exits with 1, with the reason', async () => {
  const failed = {
    outcome: 'failed',
    phase: 'ERROR',
    lastError: { code: 'exit', message: 'exit 1', at: '2026-01-01T00:00:00.000Z', operation: null, attempt: null },
    hold: null,
  };
  await using api = await fakeApi({ 'POST /v1/fleets/demo/instances/scribe/restart': () => failed });
  const { code, out } = await cli('restart scribe --wait', { api });
  assert.equal(code, 1);
  assert.match(out, /scribe: failed, ERROR: exit: exit 1/);
});

test('of several waited for, one that refuses is its own outcome and the others go on', async () => {
  await using api = await fakeApi({
    'POST /v1/fleets/demo/instances/b/wake': () => problem(409, 'b is not lazy', { rule: 'not-lazy' }),
    'POST /v1/fleets/demo/instances/a/wake': () => ({
      outcome: 'succeeded',
      phase: 'RUNNING',
      lastError: null,
      hold: null,
    }),
  });
  const { code, out } = await cli('wake a b --wait', { api });
  assert.equal(code, 1);
  assert.match(out, /a: RUNNING/);
  assert.match(out, /b: not accepted: b is not lazy/);
});

test('L55: a deletion that does not end in time says so, instead of hanging or claiming success', async () => {
  await using api = await fakeApi({
    'DELETE /v1/fleets/demo/instances/scribe': () =>
      new Status(202, {
        seq: 21,
        instance: 'scribe',
        phase: 'DELETING',
        outcome: 'timeout',
        lastError: null,
        hold: { reason: 'target-stale', text: 'the target cannot be seen', until: null },
      }),
  });
  const { code, out } = await cli('delete scribe --wait', { api });
  assert.equal(code, 1);
  assert.match(out, /not settled in time, still DELETING: held \(target-stale\): the target cannot be seen/);
});

test('delete asks on a terminal, and anything but yes deletes nothing', async () => {
  await using api = await fakeApi();
  const no = await cli('delete scribe --data delete', { api, answer: '' });
  assert.equal(no.code, 1);
  assert.match(no.err, /Delete 1 instance of fleet demo \(scribe\), with their data, for good\? \[y\/N\]/);
  assert.ok(!api.asked.some(({ method }) => method === 'DELETE'));
  assert.equal((await cli('delete scribe', { api, answer: 'y' })).code, 0);
  assert.equal((await cli('delete scribe --yes', { api, answer: 'n' })).code, 0);
});

test('a data folder given to delete after its name is refused, not taken for a fate', async () => {
  const { code, err } = await cli('delete scribe --data /srv/holdfast');
  assert.equal(code, 2);
  assert.match(err, /"keep" or "delete"/);
});

test('every command has a help with a sentence and an example', async () => {
  const commands = [
    ...new Set(EXPECTED.map(({ command }) => command.split(' ').filter((word) => /^[a-z][a-z-]*$/.test(word)))),
  ].map(([first = '', second = '']) =>
    first === 'token' || first === 'secret' || second === 'prune' ? `${first} ${second}` : first,
  );
  for (const command of new Set([...commands, 'up', 'apply', 'diff', 'logs', 'sim', 'bench'])) {
    const { code, out }: Ran = await cli(`${command} --help`);
    assert.equal(code, 0, command);
    assert.match(out, /Usage: holdfast [\s\S]*\.\n[\s\S]*Examples:\n {2}\$ holdfast/, command);
  }
});

test('what later issues bring is not offered yet', async () => {
  for (const command of ['backup', 'restore']) {
    assert.equal((await cli(command)).code, 2, command);
  }
});
