/** Real agents with the real client, as child processes of a real server: heard, silent, wedged, slow, busy, idle. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Json } from '../../src/core/model.ts';
import { alive, dataOf, ofType, openWorld, pidOf, until, type Fleet, type Plane, type World } from '../support/e2e.ts';
import { beat, type Program, writeProgram } from './program.ts';

const BEATS = { every: '200ms', silentAfter: '2s', startGrace: '20s' };

let world: World;
let plane: Plane;
let program: Program;

before(async () => {
  world = await openWorld();
  plane = await world.up();
  program = writeProgram(world);
});
after(() => world.close());

const bot = (options: readonly string[] = [], more: { readonly [key: string]: Json } = {}): Json => ({
  target: 'process',
  heartbeat: BEATS,
  run: program.run(...options) as unknown as Json,
  ...more,
});

const kinds = async (fleet: Fleet, name: string): Promise<readonly unknown[]> =>
  ofType(await fleet.events(), 'agent.reported', name).map((event) => dataOf(event)['report']);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('an agent with the client', () => {
  test('is RUNNING once it is heard, shown with what it says, and writes nothing while nothing changes', async () => {
    const fleet = plane.fleet('steady');
    await fleet.declare({ instances: { a: bot() } });
    await fleet.running('a');
    const view = await fleet.until('a', 'its version known', ({ heartbeat }) => heartbeat?.version === '1.0');
    assert.deepEqual([view.heartbeat?.status, view.heartbeat?.activeTasks], ['ready', 0]);
    const { head } = await fleet.view();
    const seen = new Set<string>();
    await until(
      'it has beaten five times more',
      async () => seen.add((await fleet.get('a')).heartbeat?.lastAt ?? '').size > 5,
    );
    assert.deepEqual((await fleet.view()).head, head, 'a beat wrote an event');
  });

  test('finds its URL and its own token in its environment, and the token is written down nowhere', async () => {
    const fleet = plane.fleet('secrets');
    await fleet.declare({ instances: { a: bot(), b: bot() } });
    for (const name of ['a', 'b']) await fleet.running(name);
    const token = program.token('a');
    assert.match(token, /^hfi_secrets\.[0-9a-f]{16}\.1\.[\w-]{43}$/);
    assert.notEqual(token, program.token('b'));
    const mac = token.split('.').at(-1) ?? '';
    for (const entry of readdirSync(plane.data, { recursive: true, withFileTypes: true })) {
      const file = join(entry.parentPath, entry.name);
      if (entry.isFile()) assert.ok(!readFileSync(file).includes(mac), `${file} holds the token`);
    }
    assert.ok(!(await plane.ask('GET', '/v1/fleets/secrets/instances/a')).text.includes(mac));
  });

  test('L08 wedged, so that it says nothing though its process lives, is DEGRADED, then restarted, then well', async () => {
    const fleet = plane.fleet('wedged');
    await fleet.declare({ instances: { a: bot() } });
    const pid = await fleet.running('a');
    process.kill(pid, 'SIGUSR2');
    await fleet.until('a', 'DEGRADED', ({ phase }) => phase === 'DEGRADED');
    assert.ok(alive(pid), 'silence is a reason to ask, not to kill');
    await fleet.until('a', 'RUNNING in another life', (view) => view.phase === 'RUNNING' && pidOf(view) !== pid);
    assert.ok(!alive(pid));
    const rules = ofType(await fleet.events(), 'tick.decided').flatMap(
      (event) => dataOf(event)['actions'] as { type: string; rule: string }[],
    );
    assert.deepEqual(
      rules.filter(({ type }) => type === 'restart').map(({ rule }) => rule),
      ['silent'],
    );
  });

  test('silent under onSilent: alert is only said to be, and well again when it is heard', async () => {
    const fleet = plane.fleet('alert');
    await fleet.declare({ policy: { onSilent: 'alert' }, instances: { a: bot() } });
    const pid = await fleet.running('a');
    process.kill(pid, 'SIGUSR2');
    await fleet.until('a', 'DEGRADED', ({ phase }) => phase === 'DEGRADED');
    assert.equal((await beat(plane, program.token('a'), { status: 'ready' })).status, 200);
    const view = await fleet.until('a', 'RUNNING', ({ phase }) => phase === 'RUNNING');
    assert.equal(pidOf(view), pid);
    assert.deepEqual(
      (await kinds(fleet, 'a')).filter((kind) => kind === 'silent' || kind === 'recovered'),
      ['silent', 'recovered'],
    );
  });

  test('L05 silent, but healthy when it is asked, is asked again and again and not restarted', async () => {
    const fleet = plane.fleet('quiet');
    const port = await freePort();
    const health = { http: { port, path: '/' }, every: '200ms', silentAfter: '2s', startGrace: '20s' };
    await fleet.declare({ instances: { a: bot([`health=${port}`], { health }) } });
    const pid = await fleet.running('a');
    process.kill(pid, 'SIGUSR2');
    const probes = async (): Promise<number> =>
      ofType(await fleet.events(), 'operation.ended', 'a').filter((event) => dataOf(event)['probe'] !== undefined)
        .length;
    await until('it was probed twice', async () => (await probes()) >= 2);
    assert.equal(pidOf(await fleet.get('a')), pid);
    assert.ok(alive(pid));
  });

  test('L06 that takes longer to boot than it may be silent is starting, not dead', async () => {
    const fleet = plane.fleet('slow');
    await fleet.declare({
      instances: { a: bot(['late=5000'], { heartbeat: { every: '200ms', silentAfter: '1s', startGrace: '30s' } }) },
    });
    const starting = await fleet.until('a', 'starting', ({ reason }) => reason.rule === 'starting');
    const view = await fleet.until('a', 'RUNNING', ({ phase }) => phase === 'RUNNING');
    assert.deepEqual([pidOf(view), view.restarts], [pidOf(starting), { crashes: 0, planned: 0 }]);
  });

  test('L07 busy without progress is DEGRADED with the reason, and well again when the task ends', async () => {
    const fleet = plane.fleet('stuck');
    await fleet.declare({ instances: { a: bot(['busy']) } });
    const stuck = await fleet.until('a', 'DEGRADED', ({ phase }) => phase === 'DEGRADED');
    assert.equal(stuck.reason.rule, 'agent-degraded');
    const said = ofType(await fleet.events(), 'agent.reported', 'a').map((event) => dataOf(event)['message']);
    assert.match(JSON.stringify(said), /busy, and its work has stood at 0 for \d s/);
    process.kill(pidOf(stuck), 'SIGHUP');
    await fleet.until('a', 'RUNNING', ({ phase }) => phase === 'RUNNING');
  });

  test('L60 a lazy one that beats sleeps when it has nothing to do, and not while it works', async () => {
    const fleet = plane.fleet('lazy');
    const lazy = { lifecycle: 'lazy', idleAfter: '2s' };
    await fleet.declare({
      instances: {
        idle: bot([], lazy),
        works: bot(['busy'], { ...lazy, heartbeat: { ...BEATS, silentAfter: '60s' } }),
      },
    });
    for (const name of ['idle', 'works']) {
      await fleet.until(name, 'asleep', ({ phase }) => phase === 'SLEEPING');
      assert.equal((await fleet.post(`instances/${name}/wake`)).status, 202);
    }
    const pid = pidOf(await fleet.until('works', 'RUNNING', ({ phase }) => phase === 'RUNNING'));
    await fleet.until('works', 'busy', ({ heartbeat }) => heartbeat?.activeTasks === 1);
    const slept = async (name: string): Promise<boolean> => {
      const actions = ofType(await fleet.events(), 'tick.decided').flatMap(
        (event) => dataOf(event)['actions'] as { type: string; instance: string }[],
      );
      return actions.some(({ type, instance }) => type === 'sleep' && instance === name);
    };
    await until('the idle one is put to sleep', () => slept('idle'));
    assert.equal(await slept('works'), false);
    process.kill(pid, 'SIGHUP');
    await fleet.until('works', 'asleep once it is done', ({ phase }) => phase === 'SLEEPING');
  });
});

describe('a late heartbeat', () => {
  test('L18 of a stopped one is told so and changes nothing; of a deleted one it is 410; on hold it is heard', async () => {
    const fleet = plane.fleet('late');
    await fleet.declare({ instances: { a: bot() } });
    await fleet.running('a');
    const token = program.token('a');
    assert.equal((await fleet.post('hold', { reason: 'night' })).status, 200);
    assert.deepEqual((await beat(plane, token)).body, { ok: true, desired: 'running', nextSeconds: 0.2 });
    assert.equal((await fleet.post('instances/a/stop?wait=20s')).status, 200);
    const { head } = await fleet.view();
    for (let n = 0; n < 20; n += 1)
      assert.equal((await beat(plane, token, { status: 'wedged', activeTasks: n })).body.desired, 'stopped');
    assert.deepEqual([(await fleet.get('a')).phase, (await fleet.view()).head], ['STOPPED', head]);
    assert.equal((await plane.ask('DELETE', '/v1/fleets/late/instances/a?wait=20s')).status, 200);
    const gone = await beat(plane, token);
    assert.equal(gone.status, 410, gone.text);
    assert.equal((await plane.ask('GET', '/v1/fleets/late/instances/a')).status, 404);
  });

  test('with the token of before an update is 401, and the agent itself has the new one', async () => {
    const fleet = plane.fleet('rotated');
    await fleet.declare({ instances: { a: bot() } });
    await fleet.running('a');
    const old = program.token('a');
    await fleet.declare({ instances: { a: bot(['again']) } });
    await fleet.until('a', 'RUNNING as declared', ({ phase, generation }) => phase === 'RUNNING' && generation === 2);
    const token = program.token('a');
    assert.notEqual(token, old);
    assert.deepEqual([(await beat(plane, old)).status, (await beat(plane, token)).status], [401, 200]);
    // A restart is no new provision: what it was given stays good.
    assert.equal((await fleet.post('instances/a/restart?wait=20s')).status, 200);
    assert.equal(program.token('a'), token);
  });
});
