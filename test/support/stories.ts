/**
 * Random but valid histories of a small fleet, for properties that must hold of every history: operators, authorities,
 * agents, results and the clock, in any order. A step that is impossible where it comes (no such instance, nothing in flight)
 * does nothing, so that every shrunk story is a story too.
 */
import fc from 'fast-check';
import type { Spec } from '../../src/core/model.ts';
import { BEATS, config, external, HEALTH, type Lab, lab, lazy, plugin, spec } from './fleet.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'] as const;
const DOCKERS = ['docker', 'box2'] as const;

export interface Step {
  readonly does: string;
  readonly run: (fleet: Lab) => void;
}

export type Story = readonly Step[];

const step = (does: string, run: (fleet: Lab) => void): Step =>
  ({ does, run, [fc.toStringMethod]: () => does }) as Step;

/** About a living instance of that name; nothing if there is none. */
const about = (name: string, does: string, run: (fleet: Lab, name: string) => void): Step =>
  step(`${name}: ${does}`, (fleet) => {
    if (fleet.state.names.has(name)) run(fleet, name);
  });

const name = fc.constantFrom(...NAMES);

const anySpec: fc.Arbitrary<Partial<Spec>> = fc
  .record({
    kind: fc.constantFrom('plain', 'plain', 'beats', 'health', 'lazy', 'lazy-beats', 'job', 'external'),
    target: fc.constantFrom(...DOCKERS),
    image: fc.constantFrom('bot:1', 'bot:2'),
    config: fc.constantFrom(null, 1, 2),
    plugins: fc.subarray(['git+file:///x#v1', 'git+file:///y#v1']),
    onDegraded: fc.constantFrom(null, 'restart' as const),
  })
  .map(({ kind, target, image, config: value, plugins, onDegraded }) => {
    const common: Partial<Spec> = {
      run: { image },
      target,
      targetType: 'docker',
      config: value === null ? null : config(value),
      plugins: plugins.map((one) => plugin(one, true)),
      onDegraded,
    };
    switch (kind) {
      case 'beats':
        return spec({ ...common, heartbeat: BEATS });
      case 'health':
        return spec({ ...common, health: HEALTH });
      case 'lazy':
        return lazy(common);
      case 'lazy-beats':
        return lazy({ ...common, heartbeat: BEATS });
      case 'job':
        return spec({ ...common, onComplete: 'stop' });
      case 'external':
        return external();
      default:
        return spec(common);
    }
  });

/** A new generation stays on its target: that is immutable. */
function declare(fleet: Lab, who: string, part: Partial<Spec>, revision: string | undefined): void {
  const known = fleet.state.instances.get(fleet.state.names.get(who) ?? '');
  if (known === undefined || known.desired === 'deleted') fleet.declare(who, part, revision);
  else if (known.spec.targetType === part.targetType)
    fleet.declare(who, { ...part, target: known.spec.target }, revision);
}

const operators: readonly fc.Arbitrary<Step>[] = [
  fc
    .tuple(name, anySpec, fc.constantFrom(undefined, 'shared-revision'))
    .map(([who, part, revision]) =>
      step(`declare ${who} ${JSON.stringify(part)} ${revision}`, (fleet) => declare(fleet, who, part, revision)),
    ),
  fc
    .constantFrom('r1', 'r2', 'r3')
    .map((revision) =>
      step(
        `manifest ${revision}`,
        (fleet) => void fleet.put({ type: 'manifest.applied', data: { revision, manifest: {} } }),
      ),
    ),
  fc
    .tuple(
      name,
      fc.constantFrom(
        'reconcile' as const,
        'stop' as const,
        'resume' as const,
        'restart' as const,
        'wake' as const,
        'sleep' as const,
      ),
    )
    .map(([who, verb]) => about(who, verb, (fleet) => void fleet.command(who, verb))),
  fc
    .tuple(name, fc.boolean(), fc.boolean())
    .map(([who, forget, prune]) =>
      about(
        who,
        `delete${forget ? ' --forget' : ''}${prune ? ' (prune)' : ''}`,
        (fleet) => void fleet.delete(who, { forget, prune }),
      ),
    ),
  fc
    .tuple(
      fc.option(name, { nil: undefined }),
      fc.constantFrom(undefined, 'docker'),
      fc.constantFrom(undefined, 20_000),
    )
    .map(([who, target, forMs]) =>
      step(`hold ${who ?? target ?? 'all'} ${forMs}`, (fleet) => {
        fleet.holdFleet({
          id: `h-${who}`,
          ...(who !== undefined && { instances: [who] }),
          ...(target !== undefined && { target }),
          ...(forMs !== undefined && { until: fleet.now + forMs }),
        });
      }),
    ),
  fc.constant(step('release', (fleet) => void fleet.release())),
  fc
    .tuple(fc.constantFrom(...DOCKERS), fc.boolean())
    .map(([target, rollout]) =>
      step(
        `override ${target} ${rollout}`,
        (fleet) =>
          void fleet.put({ type: 'command.issued', data: { verb: 'override', target, identity: null, rollout } }),
      ),
    ),
  fc
    .record({
      giveUpAfter: fc.constantFrom(2, 10),
      maxInFlight: fc.constantFrom(null, 1, 2),
      onSilent: fc.constantFrom('restart' as const, 'alert' as const),
      drift: fc.constantFrom('enforce' as const, 'report' as const),
    })
    .map((part) => step(`policy ${JSON.stringify(part)}`, (fleet) => void fleet.policy(part))),
  fc.subarray([...NAMES]).map((names) =>
    step(`rotate for ${names.join()}`, (fleet) => {
      const insts = names.flatMap((who) => (fleet.state.names.has(who) ? [fleet.inst(who)] : []));
      const version = fleet.log.length;
      const hashes = Object.fromEntries(
        insts
          .filter((inst) => inst.hashes.config !== null)
          .map((inst) => [inst.uid, { ...inst.hashes, config: `1:rotated-${version}` }]),
      );
      fleet.put({ type: 'secret.rotated', data: { secret: 'llm', version, hashes } });
    }),
  ),
  fc.constant(step('delete the secret', (fleet) => fleet.put({ type: 'secret.deleted', data: { secret: 'llm' } }))),
];

const exits = fc.constantFrom({ code: 1 }, { code: 0 }, { code: 78 }, { oom: true }, { signal: 'SIGKILL' });

const authorities: readonly fc.Arbitrary<Step>[] = [
  fc.tuple(name, exits).map(([who, exit]) =>
    about(who, `exits ${JSON.stringify(exit)}`, (fleet) => {
      if (fleet.inst(who).resource?.state === 'running') fleet.exits(who, exit);
    }),
  ),
  fc.constantFrom({ code: 1 }, { code: 1 }).map((exit) =>
    step('everything exits', (fleet) => {
      for (const inst of fleet.state.instances.values())
        if (inst.resource?.state === 'running') fleet.exits(inst.uid, exit);
    }),
  ),
  fc
    .tuple(name, fc.constantFrom('running' as const, 'stopped' as const, 'changing' as const, 'missing' as const))
    .map(([who, state]) =>
      about(who, `seen ${state}`, (fleet) => {
        if (fleet.inst(who).existed && fleet.inst(who).spec.targetType !== 'external') fleet.seen(who, state);
      }),
    ),
  fc.tuple(name, name).map(([who, other]) =>
    about(who, `seen with the ref of ${other}`, (fleet) => {
      const ref = fleet.state.names.has(other) ? fleet.inst(other).resource?.ref : undefined;
      if (ref != null && fleet.inst(who).existed && fleet.inst(who).spec.targetType !== 'external')
        fleet.seen(who, 'running', { ref });
    }),
  ),
  fc
    .tuple(fc.constantFrom(...DOCKERS), fc.constantFrom(1, 2, 8))
    .map(([target, maxInFlight]) =>
      step(`sync ${target} ${maxInFlight}`, (fleet) => void fleet.sync(target, { maxInFlight })),
    ),
  fc
    .constantFrom(...DOCKERS)
    .map((target) =>
      step(
        `${target} turns stale`,
        (fleet) => void fleet.put({ type: 'target.stale', data: { target, message: 'no answer for 90 s' } }),
      ),
    ),
  fc
    .constantFrom(...DOCKERS)
    .map((target) =>
      step(
        `${target} refuses`,
        (fleet) =>
          void fleet.put({ type: 'target.refused', data: { target, message: 'permission denied', identity: null } }),
      ),
    ),
  fc
    .constantFrom(...DOCKERS)
    .map((target) =>
      step(`${target} is cleared`, (fleet) => void fleet.put({ type: 'target.cleared', data: { target } })),
    ),
  fc
    .constantFrom(...DOCKERS)
    .map((target) =>
      step(
        `${target} is swept`,
        (fleet) => void fleet.put({ type: 'sweep.completed', data: { target, began: fleet.state.seq } }),
      ),
    ),
  fc.constant(step('a new owner', (fleet) => void fleet.own())),
  fc.constant(
    step('a new owner, synced', (fleet) => {
      fleet.own();
      for (const target of DOCKERS) fleet.sync(target);
    }),
  ),
];

const agents: readonly fc.Arbitrary<Step>[] = [
  fc
    .tuple(
      name,
      fc.constantFrom(
        'first' as const,
        'silent' as const,
        'recovered' as const,
        'well' as const,
        'busy' as const,
        'idle' as const,
      ),
    )
    .map(([who, report]) => about(who, `reports ${report}`, (fleet) => void fleet.report(who, report))),
  name.map((who) => about(who, 'reports degraded', (fleet) => void fleet.degraded(who))),
  fc.tuple(name, fc.boolean()).map(([who, ok]) => about(who, `probe ${ok}`, (fleet) => void fleet.probe(who, ok))),
  fc.tuple(name, fc.constantFrom(undefined, 30_000)).map(([who, forMs]) =>
    about(
      who,
      `work begins ${forMs}`,
      (fleet) =>
        void fleet.put({
          type: 'work.began',
          ...fleet.of(who),
          data: forMs === undefined ? {} : { leaseUntil: fleet.now + forMs },
        }),
    ),
  ),
  name.map((who) =>
    about(who, 'work ends', (fleet) => void fleet.put({ type: 'work.ended', ...fleet.of(who), data: {} })),
  ),
  name.map((who) =>
    about(
      who,
      'config is another',
      (fleet) => void fleet.put({ type: 'config.observed', ...fleet.of(who), data: { hash: '1:foreign' } }),
    ),
  ),
  name.map((who) =>
    about(
      who,
      'plugin ref moves',
      (fleet) =>
        void fleet.put({
          type: 'plugin.ref-moved',
          ...fleet.of(who),
          data: { source: 'git+file:///x', sha: `sha-${fleet.log.length}` },
        }),
    ),
  ),
  name.map((who) =>
    about(
      who,
      'a row is broken',
      (fleet) =>
        void fleet.put({
          type: 'event.quarantined',
          ...fleet.of(who),
          data: { was: 'command.issued', message: 'not JSON' },
        }),
    ),
  ),
];

/** Ends the operation of that name, if it has one. */
const ends = (does: string, run: (fleet: Lab, who: string) => void): fc.Arbitrary<Step> =>
  name.map((who) =>
    about(who, does, (fleet) => {
      if (fleet.inst(who).operation !== null) run(fleet, who);
    }),
  );

const results: readonly fc.Arbitrary<Step>[] = [
  ends('succeeds', (fleet, who) => void fleet.succeed(who)),
  ends('succeeds', (fleet, who) => void fleet.succeed(who)),
  ends('fails', (fleet, who) => void fleet.fail(who)),
  ends('fails for good', (fleet, who) => void fleet.fail(who, { class: 'terminal', code: 'bad-image' })),
  ends('conflicts', (fleet, who) => void fleet.fail(who, { class: 'conflict' })),
  ends('finds its target down', (fleet, who) => void fleet.fail(who, { fault: 'target', message: 'engine down' })),
  ends('times out', (fleet, who) => void fleet.end(who, 'timed-out')),
  ends('is aborted', (fleet, who) => void fleet.end(who, 'aborted')),
];

const clock: readonly fc.Arbitrary<Step>[] = [
  fc.constant(step('tick', (fleet) => void fleet.tick())),
  fc.constant(step('tick', (fleet) => void fleet.tick())),
  fc.constant(step('settle', (fleet) => fleet.settle())),
  fc
    .constantFrom(1, 999, 5_000, 30_000, 61_000, 700_000, 1_900_000)
    .map((ms) => step(`advance ${ms}`, (fleet) => fleet.advance(ms))),
  // Time passes and nobody ticks: what was due meanwhile is found late.
  fc.constantFrom(1_000, 60_000).map((ms) =>
    step(`${ms} ms without a tick`, (fleet) => {
      fleet.now += ms;
    }),
  ),
];

const anyStep = fc.oneof(
  { weight: 5, arbitrary: fc.oneof(...clock) },
  { weight: 4, arbitrary: fc.oneof(...results) },
  { weight: 4, arbitrary: fc.oneof(...operators) },
  { weight: 3, arbitrary: fc.oneof(...authorities) },
  { weight: 3, arbitrary: fc.oneof(...agents) },
);

/** A fleet that runs, and then a story. */
export const stories = (maxSteps = 60): fc.Arbitrary<Story> =>
  fc
    .tuple(
      fc.array(
        fc
          .tuple(name, anySpec)
          .map(([who, part]) =>
            step(`declare ${who} ${JSON.stringify(part)}`, (fleet) => declare(fleet, who, part, 'r0')),
          ),
        {
          maxLength: 7,
          size: 'max',
        },
      ),
      fc.boolean(),
      fc.array(anyStep, { maxLength: maxSteps, size: 'max' }),
    )
    .map(([declared, settled, steps]) => [
      ...declared,
      ...(settled ? [step('settle', (fleet) => fleet.settle())] : []),
      ...steps,
    ]);

/** Plays the story on a fresh fleet that begins at `at`; `between` is called after every step. */
export function play(story: Story, between: (fleet: Lab, step: Step) => void = () => {}, at?: number): Lab {
  const fleet = lab({ targets: [...DOCKERS, 'external'], ...(at !== undefined && { at }) });
  for (const one of story) {
    one.run(fleet);
    between(fleet, one);
  }
  return fleet;
}
