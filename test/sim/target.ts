/**
 * The simulated target: the port, over one simulated authority. Each life of the control plane has its own; when that life
 * is killed, what it had asked for still happens, but nobody hears of it.
 */
import type { JsonObject } from '../../src/core/model.ts';
import type { ConfigAbility, PluginAbility, Subject, Target, TargetTraits } from '../../src/ports/target.ts';
import type { Authority } from './authority.ts';
import { call, listing, type CallWorld } from './calls.ts';
import { GONE } from './resource.ts';
import type { Truth } from './truth.ts';

export const SIM_TRAITS: TargetTraits = {
  type: 'sim',
  deadlinesMs: {
    provision: 60_000,
    start: 30_000,
    stop: 30_000,
    sleep: 30_000,
    restart: 60_000,
    update: 90_000,
    destroy: 60_000,
    probe: 10_000,
  },
  graceMs: 10_000,
  maxInFlight: 8,
  sweepEveryMs: 30_000,
  sweepDeadlineMs: 15_000,
  abilities: ['watch', 'config', 'plugins'],
};

/** The life of the control plane that asks. */
export interface Asker {
  /** Runs what reached it: now, when it wakes, or never. */
  hear(run: () => void): void;
  /** It is about to ask for something that makes an instance run, or ends it. */
  acts(verb: string, subject: Subject, makesRun: boolean): void;
}

export interface TargetWorld extends CallWorld {
  readonly truth: Truth;
  /** Where each plugin source's branch points now. */
  readonly heads: ReadonlyMap<string, string>;
  /** Told of everything that is asked of the world. */
  asked(uid: string): void;
}

export function simTarget(authority: Authority, world: TargetWorld, asker: Asker): Target {
  const heard = <T>(work: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      work.then(
        (value) => asker.hear(() => resolve(value)),
        (error: unknown) => asker.hear(() => reject(error)),
      );
    });
  const act = <T>(what: string, signal: AbortSignal, effect: () => T, nothing: (() => T) | null = null): Promise<T> =>
    heard(call(world, authority, what, signal, effect, nothing));
  const life = (uid: string): string | null => authority.resources.get(uid)?.incarnation ?? null;
  const acts = (verb: string, subject: Subject, makesRun: boolean): void => {
    asker.acts(verb, subject, makesRun);
    world.asked(subject.uid);
  };
  const asItIs = (uid: string) => () => authority.look(authority.need(uid));

  const config: ConfigAbility = {
    apply: (subject, signal) =>
      act('apply config', signal, () => {
        const found = authority.need(subject.uid);
        found.inForce = subject.configHash;
        return { applied: subject.configHash ?? '', observed: found.inForce ?? '' };
      }),
    persist: (subject, signal) =>
      act('persist config', signal, () => {
        const value = subject.spec.config?.value as JsonObject | null | undefined;
        authority.need(subject.uid).disk.config = { hash: subject.configHash, unusable: value?.['unusable'] === true };
        return { persisted: subject.configHash ?? '' };
      }),
  };

  const plugins: PluginAbility = {
    install: (subject, source, signal) =>
      act('install plugin', signal, () => {
        const declared = subject.spec.plugins.find((plugin) => plugin.source === source);
        const ref = declared?.ref ?? null;
        const sha = declared?.track === true ? (world.heads.get(source) ?? 'sha-0') : `sha-${ref}`;
        const made = { source, ref, sha, treeDigest: `tree-${sha}` };
        authority.need(subject.uid).disk.plugins.set(source, made);
        return made;
      }),
    uninstall: (subject, source, signal) =>
      act('uninstall plugin', signal, () => {
        authority.need(subject.uid).disk.plugins.delete(source);
      }),
  };

  return {
    traits: authority.restarts ? { ...SIM_TRAITS, abilities: [...SIM_TRAITS.abilities, 'restarts'] } : SIM_TRAITS,
    async list(signal) {
      const listed = await heard(listing(world, authority, signal));
      if (listed.identity === authority.identity) {
        world.truth.listed(asker, new Set(listed.items.map(({ uid }) => uid)), authority.resources.keys());
      }
      return listed;
    },
    inspect: (subject, signal) =>
      act('inspect', signal, () => {
        const found = authority.resources.get(subject.uid);
        return found === undefined ? GONE : authority.look(found);
      }),
    provision(subject, { unstarted }, signal) {
      acts('provision', subject, !unstarted);
      return act(
        'provision',
        signal,
        () => authority.provision(subject, unstarted),
        () => GONE,
      );
    },
    start(subject, signal) {
      acts('start', subject, true);
      return act('start', signal, () => authority.start(subject), asItIs(subject.uid));
    },
    stop(subject, signal) {
      acts('stop', subject, false);
      const meant = life(subject.uid);
      return act('stop', signal, () => authority.stop(subject.uid, meant), asItIs(subject.uid));
    },
    update(subject, { unstarted }, signal) {
      acts('update', subject, !unstarted);
      const meant = life(subject.uid);
      return act('update', signal, () => authority.update(subject, unstarted, meant), asItIs(subject.uid));
    },
    destroy(subject, _how, signal) {
      acts('destroy', subject, false);
      const meant = life(subject.uid);
      return act('destroy', signal, () => authority.destroy(subject.uid, meant));
    },
    watch: (deployment, tell) => {
      void deployment;
      return authority.watch((resource, look) =>
        asker.hear(() => tell({ kind: 'changed', fleet: resource.fleet, uid: resource.uid, look })),
      );
    },
    config,
    plugins,
    close: async () => undefined,
  };
}
