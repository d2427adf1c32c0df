/** The first minute of a newcomer: `npm start`, and what it says about itself holds. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { EventView, InstanceView, Page } from '../../src/runtime/api.ts';
import {
  alive,
  dataOf,
  ofType,
  openWorld,
  pidOf,
  send,
  until,
  wordsOf,
  type Fleet,
  type Plane,
  type World,
} from '../support/e2e.ts';

/** Where the scribe of the quickstart listens. */
const SCRIBE_PORT = 7731;
const PORT_DEADLINE_MS = 60_000;
const HEAL_MS = 1_000;

describe('npm start', () => {
  let world: World;
  let plane: Plane;
  let fleet: Fleet;

  before(async () => {
    world = await openWorld();
    // Another quickstart on this machine has it for a moment: that one's scribe would be the one that answers.
    await until(`port ${SCRIBE_PORT} is free`, async () => !(await answers(SCRIBE_PORT)), PORT_DEADLINE_MS);
    plane = await world.up({ npm: true });
    fleet = plane.fleet('quickstart');
  });
  after(() => world.close());

  test('declares three agents, shows them come up, and says what to try next', async () => {
    const said = await until('the invitation', () => (/Now try/.test(plane.said()) ? plane.said() : null));
    assert.match(said, /RUNNING +scribe/);
    assert.match(said, /SLEEPING +archivist/);
    assert.match(said, /RUNNING +gambler/);
    assert.ok(said.includes(`up at ${plane.url}`), said);
    assert.ok(said.includes('admin.token'), said);
    assert.equal((said.match(/npm run -s holdfast -- /g) ?? []).length, 3, said);
  });

  test('get shows each as it was declared', async () => {
    // The gambler may have lost its life this very second; it comes back.
    await fleet.until('gambler', 'RUNNING', ({ phase }) => phase === 'RUNNING');
    const { items } = await plane.json<Page<InstanceView>>('get');
    const found = Object.fromEntries(items.map(({ name, phase, lifecycle }) => [name, `${lifecycle} ${phase}`]));
    assert.deepEqual(found, { archivist: 'lazy SLEEPING', gambler: 'hot RUNNING', scribe: 'hot RUNNING' });
    const table = await plane.cli('get');
    assert.match(table.out, /^archivist +SLEEPING .*\n^gambler +RUNNING .*\n^scribe +RUNNING /m);
    const answer = await fetch(`http://127.0.0.1:${SCRIBE_PORT}/`);
    assert.match(await answer.text(), new RegExp(`pid ${pidOf(await fleet.get('scribe'))}\\b`));
  });

  test('an agent that is killed is replaced in under a second, and the log shows a flap with its exit and its last words', async () => {
    const before = await fleet.get('scribe');
    const { head } = await fleet.view();
    const killedAt = Date.now();
    send(pidOf(before), 'SIGKILL');
    const after = await fleet.until(
      'scribe',
      'RUNNING as another process',
      (view) => view.phase === 'RUNNING' && pidOf(view) !== pidOf(before),
    );
    const events = await fleet.events(head);
    const [flap] = ofType(events, 'flap.observed', 'scribe');
    assert.equal(dataOf(flap)['kind'], 'process_exited');
    const { code, signal, oom } = dataOf(flap)['exit'] as { code: number | null; signal: string | null; oom: boolean };
    assert.deepEqual([code, signal, oom], [null, 'SIGKILL', false]);
    assert.match(wordsOf(flap, 'output'), /scribe: listening/);
    const healed = startOf(events, 'scribe', flap!.seq);
    const took = Date.parse(healed.at) - killedAt;
    assert.ok(took < HEAL_MS, `healing took ${took} ms`);
    assert.equal(after.restarts.crashes, before.restarts.crashes + 1);
    const shown = await plane.cli('events', '--after', String(head));
    assert.match(shown.out, /flap\.observed +scribe: process_exited, ended by SIGKILL: scribe: listening on/);
  });

  test('a control plane that is killed leaves the agents alone, and finds the same processes when it is back', async () => {
    const scribe = await fleet.get('scribe');
    const { head } = await fleet.view();
    await plane.kill();
    assert.ok(alive(pidOf(scribe)));
    plane = await world.up({ args: ['--quickstart'] });
    fleet = plane.fleet('quickstart');
    await until('its word that the fleet is kept', () => plane.said().includes('declared already'));
    const again = await fleet.until('scribe', 'RUNNING', ({ phase }) => phase === 'RUNNING');
    assert.equal(pidOf(again), pidOf(scribe));
    assert.deepEqual(again.restarts, scribe.restarts);
    assert.equal((await fleet.get('archivist')).phase, 'SLEEPING');
    const events = await fleet.events(head);
    assert.deepEqual(ofType(events, 'flap.observed', 'scribe'), []);
    assert.equal(ofType(events, 'operation.ended', 'scribe').length, 0, 'nothing was done to it');
  });
});

/** The first operation of the instance that ended well after `seq`. */
function startOf(events: readonly EventView[], name: string, seq: number): EventView {
  const found = ofType(events, 'operation.ended', name).find(
    (event) => event.seq > seq && dataOf(event)['outcome'] === 'succeeded',
  );
  assert.ok(found, `no start of ${name} after #${seq}`);
  return found;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
