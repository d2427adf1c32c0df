/**
 * The simulated target: the port, over the simulated world. Each life of the control plane has its own; when that life is
 * killed, what it had asked for still happens, but nobody hears of it.
 */
import type { ConfigAbility, PluginAbility, Target, TargetTraits } from '../../src/ports/target.ts';
import { lookAt, type SimWorld } from './world.ts';

export const SIM_TRAITS: TargetTraits = {
  type: 'sim',
  deadlinesMs: { provision: 60_000, start: 30_000, stop: 30_000, sleep: 30_000, restart: 60_000, update: 90_000, destroy: 60_000, probe: 10_000 },
  graceMs: 10_000,
  maxInFlight: 8,
  sweepEveryMs: 30_000,
  sweepDeadlineMs: 15_000,
  abilities: ['watch', 'config', 'plugins'],
};

export function simTarget(world: SimWorld, isAlive: () => boolean): Target {
  /** A dead control plane hears nothing: its promises stay open for ever. */
  const heard = <T>(work: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      work.then(
        (value) => isAlive() && resolve(value),
        (error: unknown) => isAlive() && reject(error),
      );
    });

  const config: ConfigAbility = {
    apply: (subject, signal) =>
      heard(
        world.act('apply config', signal, () => {
          world.need(subject.uid);
          return { applied: subject.configHash ?? '', observed: subject.configHash ?? '' };
        }),
      ),
    persist: (subject, signal) =>
      heard(
        world.act('persist config', signal, () => {
          world.need(subject.uid).config = subject.configHash;
          return { persisted: subject.configHash ?? '' };
        }),
      ),
  };

  const plugins: PluginAbility = {
    install: (subject, source, signal) =>
      heard(
        world.act('install plugin', signal, () => {
          const ref = subject.spec.plugins.find((plugin) => plugin.source === source)?.ref ?? null;
          const made = { source, ref, sha: `sha-${ref}`, treeDigest: `tree-${ref}` };
          world.need(subject.uid).plugins.set(source, made);
          return made;
        }),
      ),
    uninstall: (subject, source, signal) =>
      heard(
        world.act('uninstall plugin', signal, () => {
          world.need(subject.uid).plugins.delete(source);
        }),
      ),
  };

  return {
    traits: SIM_TRAITS,
    list: (signal) => heard(world.list(signal)),
    inspect: (subject, signal) => heard(world.act('inspect', signal, () => lookAt(world.need(subject.uid)))),
    provision: (subject, { unstarted }, signal) => heard(world.act('provision', signal, () => world.provision(subject, unstarted))),
    start: (subject, signal) => heard(world.act('start', signal, () => world.start(subject.uid))),
    stop: (subject, signal) => heard(world.act('stop', signal, () => world.stop(subject.uid))),
    update: (subject, { unstarted }, signal) => heard(world.act('update', signal, () => world.update(subject, unstarted))),
    destroy: (subject, _how, signal) => heard(world.act('destroy', signal, () => world.destroy(subject.uid))),
    watch: (_deployment, tell) =>
      world.onEnd((resource, look) => {
        if (isAlive()) tell({ kind: 'changed', fleet: resource.fleet, uid: resource.uid, look });
      }),
    config,
    plugins,
    close: async () => undefined,
  };
}
