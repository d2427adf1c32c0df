/** What a real server writes into its own log: its decisions, no secret, nothing at rest; and how much, changed as it runs. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { LogLevelView } from '../../src/runtime/api.ts';
import { openWorld, send, until, type Fleet, type Plane, type ProblemBody, type World } from '../support/e2e.ts';
import { readExposition } from '../support/exposition.ts';

const SECRET = 'sk-never-to-be-seen-0123456789';

let world: World;
let plane: Plane;
let fleet: Fleet;

before(async () => {
  world = await openWorld();
  plane = await world.up();
  fleet = plane.fleet('demo');
});
after(() => world.close());

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

const written = (): string => readFileSync(join(plane.data, 'holdfast.log'), 'utf8');
const lines = (): readonly Line[] =>
  written()
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line) as Line);
const decided = (instance: string): readonly Line[] =>
  lines().filter((line) => line['instance'] === instance && line.msg.startsWith('decided: '));

test('each decision is a line that leads to its tick, and none holds a secret', async () => {
  await plane.ask('PUT', '/v1/fleets/demo/secrets/llm', { body: { value: SECRET } });
  await fleet.declare({
    policy: { rollout: { healthyFor: '1s' } },
    instances: { a: { target: 'process', run: { command: world.agent(), env: { KEY: '${secret:llm}' } } } },
  });
  const pid = await fleet.running('a');
  await fleet.post('hold', { reason: `because of ${SECRET}` });
  send(pid, 'SIGKILL');
  const held = await until('the hold is in the log', () =>
    decided('a').find((line) => line['hold'] === 'operator-hold'),
  );
  assert.equal(held['rule'], 'start');
  assert.equal(held['detail'], 'because of [secret:llm]');
  await fleet.post('release');
  await fleet.until('a', 'it runs again', (view) => view.phase === 'RUNNING');
  await until('the last decision is written', () => decided('a').find((line) => line['from'] === 'PENDING'));
  const events = await fleet.events();
  for (const line of decided('a')) {
    assert.deepEqual([line.level, line['fleet'], typeof line['rule']], [30, 'demo', 'string'], JSON.stringify(line));
    const event = events.find(({ seq }) => seq === line['seq']);
    assert.equal(event?.type, 'tick.decided');
    assert.ok(JSON.stringify(event.data).includes('"instance":"a"'));
  }
  const actions = decided('a').map((line) => line['action']);
  assert.deepEqual(
    actions.filter((action) => action !== undefined),
    ['provision', 'start'],
  );
  assert.ok(!written().includes(SECRET));
});

test('a steady fleet is looked at, and not a line is written', async () => {
  const looked = async (): Promise<number> => {
    const told = readExposition((await plane.ask('GET', '/metrics')).text);
    return told.value('holdfast_observations_total', { fleet: 'demo', written: 'no' });
  };
  const before = await looked();
  const said = lines().length;
  await until('it was looked at three times more', async () => (await looked()) >= before + 3);
  assert.deepEqual(lines().slice(said), []);
});

test('the level is changed while it runs, refused where it is none, and as configured after the next start', async () => {
  const asked = await plane.cli('log-level');
  assert.deepEqual([asked.code, asked.out], [0, 'The log level is info, as configured.\n']);
  const changed = await plane.cli('log-level', 'debug');
  assert.equal(changed.out, 'The log level is debug; the next start begins with info again, as configured.\n');
  await plane.ask('GET', '/v1/fleets/demo');
  await until('a request is told', () => lines().find(({ level, msg }) => level === 20 && msg === 'answered'));
  const told = lines().find(({ msg }) => msg.startsWith('the log level was changed'));
  assert.deepEqual([told?.['from'], told?.['to']], ['info', 'debug']);

  assert.equal((await plane.ask('PUT', '/v1/log-level', { body: { level: 'silent' } })).status, 200);
  const length = written().length;
  await fleet.post('instances/a/restart');
  await fleet.until('a', 'it was restarted', (view) => view.restarts.planned === 1 && view.phase === 'RUNNING');
  const refused = await plane.ask<ProblemBody>('PUT', '/v1/log-level', { body: { level: 'chatty' } });
  assert.equal(refused.status, 422);
  assert.match(refused.text, /trace.*debug.*info/);
  assert.match((await plane.cli('log-level', 'chatty')).err, /one of trace, debug, info, warn, error, fatal, silent/);
  assert.equal(written().slice(length), '');

  await plane.end();
  plane = await world.up();
  const { body } = await plane.ask<LogLevelView>('GET', '/v1/log-level');
  assert.deepEqual(body, { level: 'info', configured: 'info' });
});

test('only an admin of every fleet sees or changes it', async () => {
  const made = await plane.ask<{ token: string }>('POST', '/v1/tokens', { body: { name: 'ops', scope: 'operate' } });
  for (const method of ['GET', 'PUT']) {
    const body = method === 'PUT' ? { body: { level: 'debug' } } : {};
    const { status } = await plane.ask(method, '/v1/log-level', { token: made.body.token, ...body });
    assert.equal(status, 403, method);
  }
});
