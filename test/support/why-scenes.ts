/** One scene for each phase, and one for each hold: an instance in it, and how it came to that. */
import type { HoldReason, Phase } from '../../src/core/model.ts';
import { BEATS, config, external, lab, type Lab, lazy, type LabOptions } from './fleet.ts';

export interface Scene {
  readonly shows: Phase | HoldReason;
  readonly fleet: Lab;
  readonly name: string;
}

type Part = Parameters<Lab['declare']>[1];

const MINUTE_MS = 60_000;

/** Instances that run, a minute after the last of it. */
function running(names: readonly string[], part: Part = {}, options: LabOptions = {}): Lab {
  const fleet = lab(options);
  for (const name of names) fleet.declare(name, part);
  fleet.settle();
  if (part?.heartbeat != null) for (const name of names) fleet.report(name, 'first');
  fleet.settle();
  fleet.advance(MINUTE_MS);
  return fleet;
}

const many = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => (at === 0 ? 'scribe' : `other-${at}`));

const PHASE: { readonly [P in Phase]: () => Lab } = {
  CREATING() {
    const fleet = lab();
    fleet.declare('scribe');
    fleet.own();
    fleet.drain();
    return fleet;
  },
  PENDING() {
    const fleet = lab();
    fleet.declare('scribe');
    fleet.settle();
    for (let i = 0; i < 3; i += 1) {
      fleet.now += 1_000;
      fleet.exits('scribe', { code: 3, output: 'Error: no such file: /srv/notes\n' });
      fleet.drain();
      if (fleet.operation('scribe') === null) break;
      fleet.settle();
    }
    return fleet;
  },
  RECONCILING() {
    const fleet = lab();
    fleet.declare('scribe', { heartbeat: BEATS });
    fleet.settle();
    fleet.now += 5_000;
    return fleet;
  },
  RUNNING: () => running(['scribe'], { heartbeat: BEATS }),
  DEGRADED() {
    const fleet = running(['scribe'], { heartbeat: BEATS });
    fleet.report('scribe', 'silent');
    fleet.drain();
    fleet.now += 10_000;
    return fleet;
  },
  SLEEPING() {
    const fleet = lab();
    fleet.declare('scribe', lazy());
    fleet.settle();
    fleet.advance(MINUTE_MS);
    return fleet;
  },
  STOPPED() {
    const fleet = running(['scribe']);
    fleet.command('scribe', 'stop');
    fleet.settle();
    fleet.advance(MINUTE_MS);
    return fleet;
  },
  UNKNOWN() {
    const fleet = running(['scribe']);
    fleet.put({ type: 'target.stale', data: { target: 'docker', message: 'no answer for 90 s' } });
    fleet.drain();
    fleet.now += MINUTE_MS;
    return fleet;
  },
  OFFLINE() {
    const fleet = lab({ targets: ['docker', 'external'] });
    fleet.declare('scribe', external());
    fleet.drain();
    fleet.report('scribe', 'first');
    fleet.drain();
    fleet.now += 30 * MINUTE_MS;
    fleet.report('scribe', 'silent');
    fleet.drain();
    fleet.now += MINUTE_MS;
    return fleet;
  },
  ERROR() {
    const fleet = lab();
    fleet.declare('scribe');
    fleet.drain();
    fleet.fail('scribe', { class: 'terminal', code: 'no-image', message: 'image bot:1 is nowhere to be found' });
    fleet.drain();
    fleet.now += MINUTE_MS;
    return fleet;
  },
  DELETING() {
    const fleet = running(['scribe']);
    fleet.delete('scribe');
    fleet.drain();
    fleet.now += 3_000;
    return fleet;
  },
};

/** Stopped by itself while that keeps it from being started again. */
function stopped(fleet: Lab): Lab {
  fleet.exits('scribe');
  fleet.drain();
  fleet.now += MINUTE_MS;
  return fleet;
}

/** A new image for all, in a rollout. */
function newImage(fleet: Lab, names: readonly string[]): Lab {
  for (const name of names) fleet.declare(name, { run: { image: 'bot:2' } }, 'r2');
  fleet.drain();
  return fleet;
}

const HOLD: { readonly [R in HoldReason]: () => Lab } = {
  unsynced() {
    const fleet = running(['scribe']);
    fleet.own();
    return stopped(fleet);
  },
  'target-stale'() {
    const fleet = PHASE.UNKNOWN();
    fleet.delete('scribe');
    fleet.drain();
    return fleet;
  },
  'target-refused'() {
    const fleet = running(['scribe']);
    fleet.put({
      type: 'target.refused',
      data: { target: 'docker', message: 'it answers as engine B, and was engine A', identity: 'B' },
    });
    fleet.delete('scribe');
    fleet.drain();
    fleet.now += MINUTE_MS;
    return fleet;
  },
  quarantined() {
    const fleet = running(['scribe']);
    fleet.put({
      type: 'event.quarantined',
      ...fleet.of('scribe'),
      data: { was: 'command.issued', message: 'not JSON' },
    });
    return stopped(fleet);
  },
  conflict() {
    const fleet = running(['scribe', 'other']);
    fleet.seen('scribe', 'running', { ref: fleet.inst('other').resource?.ref ?? null });
    return newImage(fleet, ['scribe', 'other']);
  },
  'operator-hold'() {
    const fleet = running(['scribe']);
    fleet.holdFleet();
    return stopped(fleet);
  },
  breaker() {
    const fleet = running(['scribe']);
    fleet.declare('other');
    fleet.drain();
    fleet.fail('other', { fault: 'target', code: 'engine-unreachable', message: 'no answer from the engine' });
    fleet.exits('scribe');
    fleet.drain();
    return fleet;
  },
  'blast-radius'() {
    const fleet = running(many(10));
    for (const name of many(6)) fleet.seen(name, 'missing');
    fleet.drain();
    return fleet;
  },
  backoff: PHASE.PENDING,
  'gave-up'() {
    const fleet = running(['scribe'], { config: config(1) });
    fleet.declare('scribe', { config: config(2) });
    fleet.drain();
    if (fleet.operation('scribe') !== null)
      fleet.fail('scribe', { class: 'terminal', code: 'config-refused', message: 'greeting: must be a text' });
    fleet.drain();
    fleet.now += MINUTE_MS;
    return fleet;
  },
  rollout: () => newImage(running(['other', 'scribe']), ['other', 'scribe']),
  'rollout-failed'() {
    const fleet = newImage(running(['other', 'scribe']), ['other', 'scribe']);
    fleet.fail('other', { class: 'terminal', code: 'no-image', message: 'image bot:2 is nowhere to be found' });
    fleet.drain();
    return fleet;
  },
  budget() {
    const fleet = running(['scribe', 'other'], {}, { policy: { maxInFlight: 1 } });
    fleet.exits('other');
    fleet.drain();
    return stopped(fleet);
  },
  busy() {
    const fleet = running(['scribe'], { heartbeat: BEATS });
    fleet.report('scribe', 'busy');
    return newImage(fleet, ['scribe']);
  },
  predecessor() {
    const fleet = running(['scribe']);
    fleet.delete('scribe');
    fleet.declare('scribe');
    fleet.drain();
    return fleet;
  },
  fault() {
    const fleet = running(['scribe']);
    // No rule can look at its plugins.
    fleet.declare('scribe', { plugins: null as unknown as [] });
    fleet.drain();
    return fleet;
  },
};

export const phaseScenes = (): readonly Scene[] =>
  Object.entries(PHASE).map(([shows, scene]) => ({ shows: shows as Phase, fleet: scene(), name: 'scribe' }));
export const holdScenes = (): readonly Scene[] =>
  Object.entries(HOLD).map(([shows, scene]) => ({ shows: shows as HoldReason, fleet: scene(), name: 'scribe' }));
