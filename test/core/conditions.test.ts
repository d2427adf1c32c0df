import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Case } from '../../src/core/case.ts';
import { conditionsOf, type Condition, type ConditionType } from '../../src/core/conditions.ts';
import { BEATS, config, external, HEALTH, lab, type Lab, lazy, plugin, T0 } from '../support/fleet.ts';
import { play, stories } from '../support/stories.ts';

const all = (fleet: Lab, name: string): readonly Condition[] =>
  conditionsOf(new Case(fleet.state, fleet.inst(name), fleet.now));

const one = (fleet: Lab, name: string, type: ConditionType): Condition =>
  all(fleet, name).find((condition) => condition.type === type)!;

const short = (fleet: Lab, name: string, type: ConditionType): readonly [string, string] => {
  const { status, reason } = one(fleet, name, type);
  return [status, reason];
};

test('there are six, always all of them, in the order of the glossary, each with its words', () => {
  fc.assert(
    fc.property(stories(), (story) => {
      const fleet = play(story);
      for (const inst of fleet.state.instances.values()) {
        const found = all(fleet, inst.uid);
        assert.deepEqual(
          found.map(({ type }) => type),
          ['Provisioned', 'ConfigApplied', 'ConfigPersisted', 'PluginsInstalled', 'AgentLive', 'TargetSeen'],
        );
        for (const { reason, message, since } of found) {
          assert.match(reason, /^[a-z]/i);
          assert.match(message, /\S/);
          assert.ok(since === null || (since >= T0 && since <= fleet.now), `since ${since}`);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('RUNNING has no false condition', () => {
  fc.assert(
    fc.property(stories(), (story) => {
      const fleet = play(story);
      fleet.drain();
      for (const inst of fleet.state.instances.values()) {
        if (inst.phase !== 'RUNNING') continue;
        assert.deepEqual(
          all(fleet, inst.uid).filter(({ status }) => status === 'false'),
          [],
        );
      }
    }),
    { numRuns: 300 },
  );
});

test('Provisioned: never seen, as declared, made from another spec, missing', () => {
  const fleet = lab();
  fleet.declare('a');
  assert.deepEqual(short(fleet, 'a', 'Provisioned'), ['false', 'never-seen']);
  fleet.settle();
  assert.deepEqual(short(fleet, 'a', 'Provisioned'), ['true', 'as-declared']);
  fleet.now += 1_000;
  fleet.declare('a', { run: { image: 'bot:2' } });
  assert.deepEqual(
    [short(fleet, 'a', 'Provisioned'), one(fleet, 'a', 'Provisioned').since],
    [['false', 'outdated'], fleet.now],
  );
  fleet.now += 1_000;
  fleet.seen('a', 'missing');
  assert.deepEqual(
    [short(fleet, 'a', 'Provisioned'), one(fleet, 'a', 'Provisioned').since],
    [['false', 'missing'], fleet.now],
  );
});

test('ConfigApplied and ConfigPersisted go each its own way', () => {
  const fleet = lab();
  fleet.declare('a', { config: config(1) });
  fleet.settle();
  assert.deepEqual([short(fleet, 'a', 'ConfigApplied')[0], short(fleet, 'a', 'ConfigPersisted')[0]], ['true', 'true']);
  fleet.put({ type: 'config.observed', ...fleet.of('a'), data: { hash: '1:foreign' } });
  assert.deepEqual(
    [short(fleet, 'a', 'ConfigApplied'), short(fleet, 'a', 'ConfigPersisted')],
    [
      ['false', 'drifted'],
      ['unknown', 'unsure'],
    ],
  );
  fleet.settle();
  fleet.declare('a', { config: config(2) });
  assert.deepEqual(
    [short(fleet, 'a', 'ConfigApplied'), short(fleet, 'a', 'ConfigPersisted')],
    [
      ['false', 'unapplied'],
      ['false', 'unpersisted'],
    ],
  );
});

test('a refused config is told in the words that refused it', () => {
  const fleet = lab();
  fleet.declare('a', { config: config(1) });
  fleet.settle();
  fleet.declare('a', { config: config(2) });
  fleet.drain();
  fleet.fail('a', { class: 'terminal', code: 'config-refused', message: 'unknown key "helo"' });
  const { status, reason, message, since } = one(fleet, 'a', 'ConfigApplied');
  assert.deepEqual([status, reason, message, since], ['false', 'config-refused', 'unknown key "helo"', fleet.now]);
});

test('asleep, an unapplied config is not known to be wrong: it is received at the start', () => {
  const fleet = lab();
  fleet.declare('a', lazy({ config: config(1) }));
  fleet.settle();
  fleet.declare('a', { config: config(2) });
  assert.deepEqual(short(fleet, 'a', 'ConfigApplied'), ['unknown', 'asleep']);
});

test('PluginsInstalled names what is to be done, or why it failed', () => {
  const fleet = lab();
  fleet.declare('a', { plugins: [plugin('git+file:///x#v1')] });
  fleet.settle();
  assert.deepEqual(short(fleet, 'a', 'PluginsInstalled'), ['true', 'installed']);
  fleet.declare('a', { plugins: [plugin('git+file:///y#v1')] });
  assert.equal(one(fleet, 'a', 'PluginsInstalled').message, 'to install: git+file:///y; to uninstall: git+file:///x');
  fleet.drain();
  fleet.fail('a', { code: 'fetch-failed', message: 'no such repository' });
  assert.deepEqual(short(fleet, 'a', 'PluginsInstalled'), ['false', 'fetch-failed']);
});

test('AgentLive: undeclared, starting, heard, silent, failing, not running', () => {
  const fleet = lab();
  fleet.declare('plain');
  fleet.declare('a', { heartbeat: BEATS });
  fleet.declare('b', { health: HEALTH });
  assert.deepEqual(short(fleet, 'a', 'AgentLive'), ['unknown', 'not-running']);
  fleet.settle();
  assert.deepEqual(short(fleet, 'plain', 'AgentLive'), ['unknown', 'undeclared']);
  assert.deepEqual(short(fleet, 'a', 'AgentLive'), ['unknown', 'starting']);
  fleet.report('a', 'first');
  fleet.probe('b', true);
  assert.deepEqual(
    [short(fleet, 'a', 'AgentLive'), short(fleet, 'b', 'AgentLive')],
    [
      ['true', 'heard'],
      ['true', 'heard'],
    ],
  );
  fleet.now += 20_000;
  fleet.report('a', 'silent');
  fleet.probe('b', false);
  assert.deepEqual(
    [one(fleet, 'a', 'AgentLive').message, one(fleet, 'a', 'AgentLive').since],
    ['it fell silent', fleet.now],
  );
  assert.equal(one(fleet, 'b', 'AgentLive').message, 'its health check fails');
});

test('TargetSeen is unknown after a take-over, and false while it is stale or refuses', () => {
  const fleet = lab();
  fleet.declare('a');
  assert.deepEqual(short(fleet, 'a', 'TargetSeen'), ['true', 'synced']);
  fleet.own();
  assert.deepEqual(short(fleet, 'a', 'TargetSeen'), ['unknown', 'unsynced']);
  fleet.put({ type: 'target.stale', data: { target: 'docker', message: 'no answer for 90 s' } });
  assert.deepEqual(
    [short(fleet, 'a', 'TargetSeen'), one(fleet, 'a', 'TargetSeen').message],
    [['false', 'stale'], 'no answer for 90 s'],
  );
  fleet.sync('docker', { identity: 'another' });
  assert.deepEqual(short(fleet, 'a', 'TargetSeen'), ['false', 'refused']);
});

test('an external one is provisioned by nobody, and live by its heartbeats', () => {
  const fleet = lab({ targets: ['external'] });
  fleet.declare('laptop', external());
  assert.deepEqual(
    [short(fleet, 'laptop', 'Provisioned'), short(fleet, 'laptop', 'TargetSeen')],
    [
      ['true', 'external'],
      ['true', 'external'],
    ],
  );
  fleet.report('laptop', 'first');
  assert.deepEqual(short(fleet, 'laptop', 'AgentLive'), ['true', 'heard']);
});
