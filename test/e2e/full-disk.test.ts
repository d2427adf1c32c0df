/**
 * A disk that is full, for real: what cannot be made durable is refused in clear words and not done, agents stay, the server
 * says why it is not ready, and when there is space again it recovers by itself, with all that it had acknowledged.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CommandResult, DryRun, Readiness } from '../../src/runtime/api.ts';
import {
  alive,
  dataOf,
  ofType,
  openWorld,
  pidOf,
  send,
  until,
  type Fleet,
  type Plane,
  type ProblemBody,
  type World,
} from '../support/e2e.ts';
import { realComponent } from '../support/require.ts';

const SIZE = '4m';
const FULL_DEADLINE_MS = 30_000;

describe('on a disk that fills up', () => {
  let world: World;
  let plane: Plane;
  let fleet: Fleet;
  let disk: string | null = null;
  let filler: string;
  const pids = new Map<string, number>();
  /** Acknowledged: seq and instance. */
  const acknowledged: { readonly seq: number; readonly instance: string }[] = [];
  let killed: string;

  before(async () => {
    world = await openWorld();
  });
  after(() => world.close());

  const ready = async (): Promise<{ status: number; body: Readiness }> =>
    plane.ask<Readiness>('GET', '/readyz', { token: null });

  test('commands are refused with a clear error, and leave no trace', async (t) => {
    const place = join(world.folder, 'disk');
    mkdirSync(place);
    disk = await realComponent(t, `a disk of ${SIZE} (tmpfs, as root)`, () => {
      const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', place], { encoding: 'utf8' });
      if (mount.status !== 0) throw new Error(mount.error?.message ?? mount.stderr);
      return place;
    });
    if (disk === null) return;
    world.mounted(disk);
    plane = await world.up({ data: join(disk, 'data') });
    fleet = plane.fleet('demo');
    const bot = { target: 'process', run: { command: world.agent() } };
    await fleet.declare({ instances: { one: bot, two: bot, three: bot } });
    for (const name of ['one', 'two', 'three']) pids.set(name, await fleet.running(name));
    assert.equal((await ready()).status, 200);

    filler = join(disk, 'filler');
    fillUp(filler);
    const refusal = await until(
      'a command is refused',
      async () => {
        const answer = await plane.ask<CommandResult & ProblemBody>('POST', '/v1/fleets/demo/instances/one/reconcile');
        if (answer.status === 202) acknowledged.push(answer.body);
        return answer.status === 202 ? null : answer;
      },
      FULL_DEADLINE_MS,
    );
    assert.equal(refusal.status, 503, refusal.text);
    assert.match(refusal.body.detail, /No space is left for the data in .*free some space/);
    const applied = await plane.ask<ProblemBody>('PUT', '/v1/fleets/demo', {
      body: { version: 1, fleet: 'demo', instances: {} },
    });
    assert.equal(applied.status, 503, applied.text);
    const cli = await plane.cli('stop', 'two');
    assert.equal(cli.code, 2);
    assert.match(cli.err, /^[^\n]*No space is left[^\n]*\n$/);
  });

  test('L09 the server says that it is not ready, and why; agents stay, and reading goes on', async (t) => {
    if (disk === null) return t.skip('no disk of its own');
    killed = 'three';
    send(pids.get(killed), 'SIGKILL');
    const wedged = await until('it is not ready', async () => {
      const answer = await ready();
      return answer.status === 503 ? answer.body : null;
    });
    assert.match(wedged.because.join(), /fleet "demo": the last tick failed: No space is left/);
    const { code, out } = await plane.cli('doctor');
    assert.equal(code, 1, out);
    assert.match(out, /wrong +ready: .*No space is left/);
    for (const name of ['one', 'two']) assert.ok(alive(pids.get(name)), name);
    const view = await fleet.get('two');
    assert.deepEqual([view.phase, pidOf(view)], ['RUNNING', pids.get('two')]);
    assert.match(await fleet.logs('two'), /two is up/);
    assert.ok(!plane.said().includes('\n    at '), plane.said());
  });

  test('another server is not started there, and says why in a sentence', async (t) => {
    if (disk === null) return t.skip('no disk of its own');
    const { code, err } = await world.refused({ data: join(disk, 'second') });
    assert.equal(code, 2, err);
    assert.match(err, /^[^\n]*(no space left|No space is left)[^\n]*\n$/);
  });

  test('with space again it goes on by itself: the dead one is a flap and healed, the server ready', async (t) => {
    if (disk === null) return t.skip('no disk of its own');
    rmSync(filler);
    await fleet.until(killed, 'healed', (view) => view.phase === 'RUNNING' && pidOf(view) !== pids.get(killed));
    await until('it is ready', async () => (await ready()).status === 200);
    const flaps = ofType(await fleet.events(), 'flap.observed');
    assert.deepEqual(
      flaps.map((event) => [event.instance, (dataOf(event)['exit'] as { signal: string }).signal]),
      [[killed, 'SIGKILL']],
    );
    for (const name of ['one', 'two']) assert.equal(pidOf(await fleet.get(name)), pids.get(name), name);
    assert.equal((await fleet.post<CommandResult>('instances/two/restart?wait=20s')).status, 200);
    assert.deepEqual((await fleet.post<DryRun>('debug/reconcile-dry-run')).body.actions, []);
  });

  test('nothing that was acknowledged is lost, also not by a kill right after, and the log replays', async (t) => {
    if (disk === null) return t.skip('no disk of its own');
    await plane.kill();
    plane = await world.up({ data: plane.data });
    fleet = plane.fleet('demo');
    const events = await fleet.events();
    assert.deepEqual(
      events.map(({ seq }) => seq),
      events.map((_, at) => at + 1),
    );
    for (const { seq, instance } of acknowledged)
      assert.deepEqual([events[seq - 1]?.type, events[seq - 1]?.instance], ['command.issued', instance]);
    const commands = ofType(events, 'command.issued').filter((event) => dataOf(event)['verb'] === 'stop');
    assert.deepEqual(commands, [], 'what was refused did not happen');
    assert.equal((await plane.cli('verify')).code, 0);
  });
});

/** To the last byte. */
function fillUp(file: string): void {
  const handle = openSync(file, 'w');
  try {
    for (let size = 64 * 1024; size >= 1;) {
      try {
        writeSync(handle, Buffer.alloc(size));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        size = Math.floor(size / 2);
      }
    }
  } finally {
    closeSync(handle);
  }
}
