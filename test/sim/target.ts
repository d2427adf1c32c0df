/**
 * The simulated target: the port, over one simulated authority. Each life of the control plane has its own; when that life
 * is killed, what it had asked for still happens, but nobody hears of it.
 */
import type { JsonObject, Look } from '../../src/core/model.ts';
import type { ConfigAbility, PluginAbility, Subject, Target, TargetTraits } from '../../src/ports/target.ts';
import type { Authority } from './authority.ts';
import { call, listing, type CallWorld } from './calls.ts';
import { GONE } from './resource.ts';
import type { Truth } from './truth.ts';

const SIM_TRAITS: TargetTraits = {
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
  /** It is about to ask for something. Answers which life it believes to be there. */
  acts(verb: Verb, subject: Subject): string | null;
}

/** What is asked of an authority, in the words of the checks. */
export type Verb =
  | 'provision'
  | 'provision unstarted'
  | 'start'
  | 'stop'
  | 'update'
  | 'update unstarted'
  | 'destroy'
  | 'apply config'
  | 'persist config'
  | 'install plugin'
  | 'uninstall plugin';

export const MAKES_RUN: ReadonlySet<Verb> = new Set(['provision', 'start', 'update']);

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
  /** Asks for one verb, announced before it is on its way. `nothing`: what is answered when it is only said to be done. */
  const act = <T>(
    verb: Verb,
    subject: Subject,
    signal: AbortSignal,
    effect: (meant: string | null) => T,
    nothing: (() => T) | null = null,
  ): Promise<T> => {
    const meant = asker.acts(verb, subject);
    world.asked(subject.uid);
    return heard(call(world, authority, verb, signal, () => effect(meant), nothing, subject.uid));
  };
  const asItIs = (uid: string) => () => authority.look(authority.need(uid));

  const config: ConfigAbility = {
    apply: (subject, signal) =>
      act('apply config', subject, signal, () => {
        const found = authority.need(subject.uid);
        found.inForce = subject.configHash;
        return { applied: subject.configHash ?? '', observed: found.inForce ?? '' };
      }),
    persist(subject, signal) {
      const seen = authority.disk(subject.uid).writes;
      return act('persist config', subject, signal, () => {
        const value = subject.spec.config?.value as JsonObject | null | undefined;
        authority.write(subject.uid, seen, (disk) => {
          disk.config = { hash: subject.configHash, unusable: value?.['unusable'] === true };
        });
        return { persisted: subject.configHash ?? '' };
      });
    },
  };

  const plugins: PluginAbility = {
    lookEveryMs: 60_000,
    install(subject, { source, ref, sha, treeDigest, restart }, signal) {
      const seen = authority.disk(subject.uid).writes;
      const made = { source, ref, sha, treeDigest, restart };
      return act('install plugin', subject, signal, () => {
        authority.write(subject.uid, seen, (disk) => disk.plugins.set(source, made));
        return made;
      });
    },
    uninstall(subject, source, signal) {
      const seen = authority.disk(subject.uid).writes;
      return act('uninstall plugin', subject, signal, () => {
        authority.write(subject.uid, seen, (disk) => disk.plugins.delete(source));
      });
    },
    installed: (subject, signal) =>
      heard(
        call(
          world,
          authority,
          'look at plugins',
          signal,
          () => [...authority.disk(subject.uid).plugins.values()].sort((a, b) => (a.source < b.source ? -1 : 1)),
          null,
        ),
      ),
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
      heard(
        call(
          world,
          authority,
          'inspect',
          signal,
          () => {
            const found = authority.resources.get(subject.uid);
            return found === undefined ? GONE : authority.look(found);
          },
          null,
        ),
      ),
    provision: (subject, { unstarted }, signal) =>
      act(
        unstarted ? 'provision unstarted' : 'provision',
        subject,
        signal,
        () => authority.provision(subject, unstarted),
        () => GONE,
      ),
    start: (subject, signal) => act('start', subject, signal, () => authority.start(subject), asItIs(subject.uid)),
    stop: (subject, signal) =>
      act('stop', subject, signal, (meant) => authority.stop(subject.uid, meant), asItIs(subject.uid)),
    update(subject, { unstarted }, signal) {
      const verb = unstarted ? 'update unstarted' : 'update';
      const effect = (meant: string | null): Look => authority.update(subject, unstarted, meant);
      return act(verb, subject, signal, effect, asItIs(subject.uid));
    },
    destroy: (subject, _how, signal) =>
      act('destroy', subject, signal, (meant) => authority.destroy(subject.uid, meant)),
    watch: (_deployment, tell) =>
      authority.watch((resource, look) =>
        asker.hear(() => tell({ kind: 'changed', fleet: resource.fleet, uid: resource.uid, look })),
      ),
    config,
    plugins,
    close: async () => undefined,
  };
}
