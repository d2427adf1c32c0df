import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fleetView, instanceView, lastErrorOf, type InstanceExtras, type InstanceView } from '../../src/core/view.ts';
import { BEATS, config, hashesOf, lab, type Lab, plugin, spec, T0 } from '../support/fleet.ts';
import { play, stories } from '../support/stories.ts';

const viewOf = (fleet: Lab, name: string, extras: InstanceExtras = {}): InstanceView =>
  instanceView(fleet.state, fleet.inst(name), fleet.now, { agenda: fleet.agenda, ...extras });

const at = (ms: number): string => new Date(ms).toISOString();

test('an instance is shown in the shape that clients rely on', () => {
  const fleet = lab();
  const declared = spec({
    heartbeat: BEATS,
    config: config(1),
    plugins: [plugin('git+file:///x#v1')],
    labels: { team: 'red' },
  });
  const uid = fleet.declare('scribe', declared);
  fleet.up('scribe');
  fleet.now += 1_000;
  fleet.put({ type: 'config.observed', ...fleet.of('scribe'), data: { hash: hashesOf(declared).config ?? '' } });
  fleet.seen('scribe', 'running', { attrs: { pid: 4242, endpoints: { '8080': '127.0.0.1:49153' } } });
  fleet.settle();
  const heartbeat = { lastAt: at(T0), status: 'ready', activeTasks: 0, errorRate: 0, version: '1' };
  const { conditions, reason, nextLookAt, ...rest } = viewOf(fleet, 'scribe', { heartbeat, spec: true });
  const hashes = hashesOf(declared);
  assert.deepEqual(rest, {
    fleet: 'lab',
    name: 'scribe',
    uid,
    generation: 1,
    target: 'docker',
    targetType: 'docker',
    lifecycle: 'hot',
    labels: { team: 'red' },
    desired: 'running',
    phase: 'RUNNING',
    since: at(T0),
    resource: { ref: `ref-${uid}`, state: 'running', since: at(T0), pid: 4242 },
    endpoints: { '8080': '127.0.0.1:49153' },
    operation: null,
    lastError: null,
    hold: null,
    hashes: {
      infra: { declared: hashes.infra, applied: hashes.infra },
      config: { declared: hashes.config, applied: hashes.config, observed: hashes.config, persisted: hashes.config },
    },
    heartbeat,
    plugins: [
      { source: 'git+file:///x', ref: 'v1', sha: 'sha-v1', treeDigest: 'tree-sha-v1', state: 'installed', error: null },
    ],
    restarts: { crashes: 0, planned: 0 },
    spec: declared,
  });
  assert.equal(reason.rule, 'running');
  assert.match(reason.text, /^It runs as declared/);
  assert.equal(conditions.length, 6);
  assert.ok(nextLookAt === null || Date.parse(nextLookAt) >= fleet.now);
});

test('lists leave the spec out', () => {
  const fleet = lab();
  fleet.declare('a');
  assert.equal('spec' in viewOf(fleet, 'a'), false);
});

test('an operation in flight, a hold and an error are shown with their times', () => {
  const fleet = lab();
  fleet.declare('a');
  fleet.tick();
  const operation = fleet.inst('a').operation!;
  assert.deepEqual(viewOf(fleet, 'a').operation, {
    id: operation.id,
    kind: 'provision',
    attempt: 1,
    startedAt: at(T0),
    deadlineAt: at(T0 + 60_000),
  });
  fleet.fail('a', { code: 'image-pull', message: 'no such image' });
  fleet.drain();
  fleet.fail('a', { code: 'image-pull', message: 'no such image' });
  fleet.drain();
  const view = viewOf(fleet, 'a');
  assert.deepEqual(view.lastError, {
    code: 'image-pull',
    message: 'no such image',
    at: at(T0),
    operation: `${fleet.inst('a').uid}#2`,
    attempt: 2,
  });
  assert.equal(view.hold?.reason, 'backoff');
  assert.equal(view.hold?.until, view.nextLookAt);
});

test('an unresolved error is shown in any phase, until its concern succeeds', () => {
  const fleet = lab();
  fleet.declare('a', { config: config(1) });
  fleet.settle();
  fleet.exits('a');
  fleet.settle();
  assert.deepEqual([fleet.phase('a'), viewOf(fleet, 'a').lastError?.code], ['RUNNING', 'crash']);
  fleet.put({ type: 'config.observed', ...fleet.of('a'), data: { hash: '1:foreign' } });
  fleet.drain();
  fleet.fail('a', { code: 'channel-down', message: 'no answer' });
  assert.equal(viewOf(fleet, 'a').lastError?.code, 'channel-down');
  fleet.now += 1_000;
  fleet.settle();
  assert.equal(viewOf(fleet, 'a').lastError?.code, 'crash');
  fleet.advance(11 * 60_000);
  assert.equal(viewOf(fleet, 'a').lastError, null);
});

test("a fault of the target is everybody's last error, without an operation, until it is cured", () => {
  const fleet = lab();
  fleet.declare('a');
  fleet.declare('b');
  fleet.settle();
  fleet.exits('a');
  fleet.tick();
  fleet.fail('a', { fault: 'target', message: 'engine down' });
  fleet.drain();
  assert.deepEqual(viewOf(fleet, 'b').lastError, {
    code: 'target-breaker',
    message: 'engine down',
    at: at(T0),
    operation: null,
    attempt: null,
  });
  fleet.put({ type: 'target.refused', data: { target: 'docker', message: 'permission denied', identity: null } });
  fleet.drain();
  const { phase, lastError } = viewOf(fleet, 'b');
  assert.deepEqual([phase, lastError?.code, lastError?.message], ['ERROR', 'target-refused', 'permission denied']);
  fleet.sync('docker');
  fleet.now += 3_600_000;
  fleet.put({ type: 'target.cleared', data: { target: 'docker' } });
  fleet.settle();
  assert.equal(lastErrorOf(fleet.state, fleet.inst('b')), null);
});

test('plugins are shown as they are: missing, at work, failed, outdated, undeclared', () => {
  const fleet = lab();
  const states = (): unknown => viewOf(fleet, 'a').plugins.map(({ source, state }) => [source, state]);
  fleet.declare('a', { plugins: [plugin('git+file:///x#v1')] });
  assert.deepEqual(states(), [['git+file:///x', 'missing']]);
  fleet.tick();
  fleet.succeed('a');
  fleet.drain();
  assert.deepEqual(states(), [['git+file:///x', 'working']]);
  fleet.fail('a', { message: 'no such repository' });
  assert.deepEqual(
    [states(), viewOf(fleet, 'a').plugins[0]?.error],
    [[['git+file:///x', 'failed']], 'no such repository'],
  );
  fleet.settle();
  fleet.declare('a', { plugins: [plugin('git+file:///x#v2')] });
  assert.deepEqual(states(), [['git+file:///x', 'outdated']]);
  fleet.declare('a', { plugins: [] });
  assert.deepEqual(states(), [['git+file:///x', 'undeclared']]);
});

test('what is stopped or missing has no endpoints, whatever its target once said', () => {
  const fleet = lab();
  fleet.declare('a');
  fleet.settle();
  fleet.seen('a', 'running', { attrs: { containerId: 'c1', endpoints: { '80': '127.0.0.1:1' } } });
  assert.deepEqual(
    [viewOf(fleet, 'a').endpoints, viewOf(fleet, 'a').resource?.containerId],
    [{ '80': '127.0.0.1:1' }, 'c1'],
  );
  fleet.exits('a');
  fleet.tick();
  assert.deepEqual([viewOf(fleet, 'a').endpoints, viewOf(fleet, 'a').resource?.state], [{}, 'stopped']);
});

test('of any history, every instance can be shown, and showing changes nothing', () => {
  fc.assert(
    fc.property(stories(), (story) => {
      const fleet = play(story);
      const before = structuredClone({ ...fleet.state });
      for (const inst of fleet.state.instances.values()) {
        const text = JSON.stringify(viewOf(fleet, inst.uid, { spec: true }));
        assert.doesNotMatch(text, /NaN|undefined/);
        if (inst.phase === 'ERROR' && !fleet.state.dirty.has(inst.uid))
          assert.notEqual(viewOf(fleet, inst.uid).lastError, null);
      }
      assert.deepEqual({ ...fleet.state }, before);
    }),
    { numRuns: 200 },
  );
});

test('the reason is that of the phase once everything is decided', () => {
  fc.assert(
    fc.property(stories(), (story) => {
      const fleet = play(story);
      fleet.drain();
      const last = new Map(
        fleet
          .events('tick.decided')
          .flatMap(({ data }) => data.transitions.map(({ uid, to, rule }) => [uid, { to, rule }] as const)),
      );
      for (const inst of fleet.state.instances.values()) {
        const { phase, reason } = viewOf(fleet, inst.uid);
        if (last.has(inst.uid)) assert.equal(last.get(inst.uid)?.to, phase);
        assert.notEqual(reason.rule, 'unclassified');
      }
    }),
    { numRuns: 200 },
  );
});

test('an unresolved error is counted in any phase, also between two lives', () => {
  const fleet = lab({});
  fleet.declare('a', {}, 'rev-1');
  fleet.settle();
  const errors = (): number => fleetView(fleet.state, fleet.now, { pending: 0, lastTickAt: null, owner: null }).errors;
  assert.equal(errors(), 0);
  fleet.exits('a');
  fleet.settle();
  assert.deepEqual([fleet.phase('a'), errors()], ['RUNNING', 1]);
});

test('a fleet is shown with its phases, holds, targets and rollout', () => {
  const fleet = lab({ targets: ['docker', 'box2'] });
  fleet.declare('a', {}, 'rev-1');
  fleet.declare('b', { target: 'box2' }, 'rev-1');
  fleet.settle();
  fleet.declare('a', { run: { image: 'bot:2' } }, 'rev-2');
  fleet.tick();
  fleet.holdFleet({ until: T0 + 60_000 });
  fleet.holdFleet({ id: 'h2', until: T0 - 1 });
  fleet.put({ type: 'target.stale', data: { target: 'box2', message: 'no answer' } });
  fleet.drain();
  const view = fleetView(fleet.state, fleet.now, {
    pending: 2,
    lastTickAt: fleet.now,
    owner: { id: 'owner-1', epoch: 1 },
  });
  const { targets, ...rest } = view;
  assert.deepEqual(rest, {
    fleet: 'lab',
    revision: null,
    head: fleet.log.length,
    pending: 2,
    instances: 2,
    phases: { RECONCILING: 1, UNKNOWN: 1 },
    errors: 0,
    holds: [
      { id: 'h1', reason: 'maintenance', by: null, at: at(T0), until: at(T0 + 60_000), target: null, instances: null },
    ],
    rollout: { revision: 'rev-2', at: at(T0), state: 'under-way', proved: 0, failures: 0, active: 1 },
    lastTickAt: at(T0),
    owner: { id: 'owner-1', epoch: 1 },
  });
  assert.deepEqual(
    targets.map(({ name, state, message }) => [name, state, message]),
    [
      ['box2', 'stale', 'no answer'],
      ['docker', 'seen', null],
    ],
  );
  assert.deepEqual(targets[1]?.inFlight, { run: 1, stop: 0 });
});
