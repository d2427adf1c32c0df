/** Agents that run elsewhere, whoever pretends to be one, and our own downtime: over HTTP, against a real server. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { Json } from '../../src/core/model.ts';
import { dataOf, ofType, openWorld, until, type Fleet, type Plane, type World } from '../support/e2e.ts';
import { beat, type Program, writeProgram } from './program.ts';

let world: World;
let plane: Plane;
let program: Program;

before(async () => {
  world = await openWorld();
  plane = await world.up();
  program = writeProgram(world);
});
after(() => world.close());

const external = (silentAfter = '2s'): Json => ({ target: 'external', heartbeat: { every: '200ms', silentAfter } });

async function tokenOf(fleet: Fleet, name: string): Promise<string> {
  const answer = await fleet.post<{ token: string }>(`instances/${name}/token`);
  assert.equal(answer.status, 201, answer.text);
  return answer.body.token;
}

const actions = async (fleet: Fleet): Promise<readonly unknown[]> =>
  ofType(await fleet.events(), 'tick.decided').flatMap((event) => dataOf(event)['actions'] as unknown[]);

describe('an external agent', () => {
  let children: ChildProcess[] = [];
  after(() => children.forEach((child) => child.kill('SIGKILL')));

  function elsewhere(name: string, token: string): ChildProcess {
    const [command = '', ...args] = program.run().command;
    const env = {
      PATH: process.env['PATH'],
      HOLDFAST_URL: plane.url,
      HOLDFAST_INSTANCE: name,
      HOLDFAST_INSTANCE_TOKEN: token,
    };
    const child = spawn(command, args, { cwd: world.folder, env, stdio: 'ignore' });
    children = [...children, child];
    return child;
  }

  test('is CREATING until it is heard, RUNNING, OFFLINE when it falls silent, and RUNNING again by itself', async () => {
    const fleet = plane.fleet('field');
    await fleet.declare({ instances: { laptop: external() } });
    await fleet.until('laptop', 'CREATING', ({ phase }) => phase === 'CREATING');
    const { code, out } = await plane.cli('agent-token', 'laptop', '--fleet', 'field');
    assert.equal(code, 0);
    const token = out.trim();
    const first = elsewhere('laptop', token);
    await fleet.until('laptop', 'RUNNING', ({ phase }) => phase === 'RUNNING');
    first.kill('SIGKILL');
    await fleet.until('laptop', 'OFFLINE', ({ phase }) => phase === 'OFFLINE');
    elsewhere('laptop', token);
    await fleet.until('laptop', 'RUNNING again', ({ phase }) => phase === 'RUNNING');
    assert.deepEqual(await actions(fleet), [], 'something was done for it');
  });

  test('that is stopped is told so, resumed it is RUNNING, and deleted it has no token any more', async () => {
    const fleet = plane.fleet('asked');
    await fleet.declare({ instances: { laptop: external('60s') } });
    const token = await tokenOf(fleet, 'laptop');
    await beat(plane, token, { status: 'ready' });
    await fleet.until('laptop', 'RUNNING', ({ phase }) => phase === 'RUNNING');
    await fleet.post('instances/laptop/stop?wait=20s');
    assert.equal((await beat(plane, token)).body.desired, 'stopped');
    assert.equal((await fleet.get('laptop')).phase, 'STOPPED');
    await fleet.post('instances/laptop/resume?wait=20s');
    assert.equal((await beat(plane, token)).body.desired, 'running');
    await fleet.until('laptop', 'RUNNING', ({ phase }) => phase === 'RUNNING');
    await plane.ask('DELETE', '/v1/fleets/asked/instances/laptop?wait=20s');
    assert.equal((await beat(plane, token)).status, 410);
    await fleet.declare({ instances: { laptop: external() } });
    assert.equal((await beat(plane, token)).status, 410, 'a name declared again is another one');
    assert.equal((await fleet.get('laptop')).phase, 'CREATING');
  });

  test('L35 is heard though its client hangs up at once', async () => {
    const fleet = plane.fleet('hasty');
    await fleet.declare({ instances: { laptop: external('60s') } });
    const token = await tokenOf(fleet, 'laptop');
    const body = '{"status":"ready"}';
    const socket = connect(plane.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const head = `POST /v1/heartbeat HTTP/1.1\r\nHost: 127.0.0.1:${plane.port}\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${body.length}\r\n\r\n`;
    socket.write(`${head}${body}`, () => socket.destroy());
    await fleet.until('laptop', 'RUNNING', ({ phase }) => phase === 'RUNNING');
  });
});

describe('whoever is not that agent', () => {
  test('L71 with no token, a forged, a foreign, a replaced or an operator’s one is 401, and nothing is believed', async () => {
    const fleet = plane.fleet('guarded');
    await fleet.declare({ instances: { one: external(), two: external() } });
    const replaced = await tokenOf(fleet, 'one');
    const token = await tokenOf(fleet, 'one');
    const other = await tokenOf(fleet, 'two');
    const [head = '', , serial = '', mac = ''] = token.split('.');
    const foreign = [head, other.split('.')[1], serial, mac].join('.');
    const forged = `${token.slice(0, -4)}AAAA`;
    const { head: before } = await fleet.view();
    for (const bad of [null, 'hfi_', replaced, foreign, forged, plane.token]) {
      const answer = await plane.ask('POST', '/v1/heartbeat', { token: bad, body: { status: 'ready' } });
      assert.equal(answer.status, 401, answer.text);
    }
    assert.deepEqual(
      (await fleet.all()).map(({ phase, heartbeat }) => [phase, heartbeat]),
      [
        ['CREATING', null],
        ['CREATING', null],
      ],
    );
    assert.equal((await fleet.view()).head, before);
    const asOperator = await plane.ask('GET', '/v1/fleets', { token });
    assert.equal(asOperator.status, 401, 'an agent is no operator');
  });

  test('a megabyte, NaN and absurd numbers are refused, and the agent goes on being heard', async () => {
    const fleet = plane.fleet('absurd');
    await fleet.declare({ instances: { laptop: external('60s') } });
    const token = await tokenOf(fleet, 'laptop');
    const send = async (body: string): Promise<number> =>
      (await plane.ask('POST', '/v1/heartbeat', { token, body })).status;
    assert.equal(await send(`{"message":"${'x'.repeat(1_000_000)}"}`), 413);
    for (const body of ['{"errorRate":NaN}', '{"errorRate":-1}', '{"activeTasks":1e300}', '{"work":-0.5}', '[1]'])
      assert.equal(await send(body), 422, body);
    assert.equal(await send('{"status":'), 400);
    assert.equal((await fleet.get('laptop')).phase, 'CREATING');
    assert.equal(await send('{"status":"ready","surprise":{"deep":[1]}}'), 200);
    await fleet.until('laptop', 'RUNNING', ({ phase }) => phase === 'RUNNING');
  });
});

test('L11 L12 after our own downtime nobody is silent at once, who stays silent is noticed, and when each was last heard is known', async () => {
  const data = `${world.folder}/downtime`;
  const first = await world.up({ data });
  const before = first.fleet('night');
  const beats = { every: '200ms', silentAfter: '4s', startGrace: '20s' };
  const laptop = { target: 'external', heartbeat: { every: '1s', silentAfter: '4s' } };
  await before.declare({
    policy: { onSilent: 'alert' },
    instances: { a: { target: 'process', heartbeat: beats, run: program.run() as unknown as Json }, laptop },
  });
  await beat(first, await tokenOf(before, 'laptop'), { status: 'ready' });
  for (const name of ['a', 'laptop']) await before.until(name, 'RUNNING', ({ phase }) => phase === 'RUNNING');
  const lastAt = (await before.get('laptop')).heartbeat?.lastAt ?? '';
  const pid = (await before.get('a')).resource?.['pid'];
  await until('it is written down', () => {
    const files = readdirSync(`${data}/last-seen`).filter((file) => file.endsWith('.json'));
    return files.some((file) => readFileSync(`${data}/last-seen/${file}`, 'utf8').includes(String(Date.parse(lastAt))));
  });
  await first.kill();
  const deadSince = performance.now();
  await until('it has been down for longer than anybody may be silent', () => performance.now() - deadSince > 5_000);

  const again = await world.up({ data, port: first.port });
  const night = again.fleet('night');
  const started = ofType(await night.events(), 'owner.started').at(-1);
  assert.equal((await night.get('laptop')).heartbeat?.lastAt, lastAt);
  await night.until('laptop', 'OFFLINE', ({ phase }) => phase === 'OFFLINE');
  const silent = ofType(await night.events(started?.seq), 'agent.reported').filter(
    (event) => dataOf(event)['report'] === 'silent',
  );
  assert.deepEqual(
    silent.map(({ instance }) => instance),
    ['laptop'],
    'the one that went on beating was never called silent',
  );
  assert.ok(Date.parse(silent[0]?.at ?? '') - Date.parse(started?.at ?? '') >= 4_000, 'it had a full grace');
  const view = await night.get('a');
  assert.deepEqual([view.phase, view.resource?.['pid'], view.restarts.crashes], ['RUNNING', pid, 0]);
});
