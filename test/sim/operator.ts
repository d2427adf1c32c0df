/**
 * A restless operator: declares, changes, stops, wakes, deletes, holds. Speaks through the store as the API does: refused
 * where a command cannot be, durable where it can.
 */
import { inadmissible } from '../../src/core/commands.ts';
import type { NewEvent, Verb } from '../../src/core/events.ts';
import { DEFAULT_POLICY, type FleetState, type Instance, type Spec } from '../../src/core/model.ts';
import { BEATS, config, hashesOf, HEALTH, plugin, spec } from '../support/specs.ts';
import type { Chance } from './prng.ts';

const VERBS: readonly Verb[] = ['reconcile', 'stop', 'resume', 'resume', 'restart', 'wake', 'wake', 'sleep'];

export class Operator {
  private readonly chance: Chance;
  private ids = 0;
  private revisions = 0;

  constructor(chance: Chance) {
    this.chance = chance;
  }

  /** The first manifest: a policy and `count` instances of every kind. */
  opening(count: number): readonly NewEvent[] {
    const revision = this.revision();
    return [
      { type: 'manifest.applied', data: { revision, manifest: null } },
      { type: 'policy.changed', data: { policy: DEFAULT_POLICY } },
      ...Array.from({ length: count }, (_, i) => this.declared(`a${String(i).padStart(2, '0')}`, this.newUid(), 1, this.randomSpec(), revision)),
    ];
  }

  /** One whim. */
  whim(state: FleetState): readonly NewEvent[] {
    const living = [...state.instances.values()].filter((inst) => inst.desired !== 'deleted');
    if (living.length === 0) return [];
    const draw = this.chance.next();
    if (draw < 0.55) return this.verb(this.chance.pick(living));
    if (draw < 0.75) return this.change(living);
    if (draw < 0.82) return this.remove(this.chance.pick(living));
    if (draw < 0.9) return this.redeclare(state);
    return this.fleetWide(state);
  }

  /** Faults have ceased: nothing the operator did may stand in the way of convergence any more. */
  release(state: FleetState): readonly NewEvent[] {
    return [
      { type: 'command.issued', data: { verb: 'release', target: null, instances: null } },
      { type: 'command.issued', data: { verb: 'override', target: state.targets.has('sim') ? 'sim' : null, identity: 'sim-1', rollout: true } },
    ];
  }

  private verb(inst: Instance): readonly NewEvent[] {
    const verb = this.chance.pick(VERBS);
    return inadmissible(inst, verb) !== null ? [] : [{ type: 'command.issued', instance: inst.name, uid: inst.uid, data: { verb } }];
  }

  /** A new generation of one, or of many at once (a rollout). */
  private change(living: readonly Instance[]): readonly NewEvent[] {
    const revision = this.revision();
    const many = this.chance.is(0.3);
    const chosen = many ? living.filter(() => this.chance.is(0.5)) : [this.chance.pick(living)];
    const image = `bot:${this.revisions}`;
    return [
      { type: 'manifest.applied', data: { revision, manifest: null } },
      ...chosen.map((inst) => this.declared(inst.name, inst.uid, inst.generation + 1, this.changed(inst.spec, image), revision)),
    ];
  }

  private changed(before: Spec, image: string): Spec {
    const draw = this.chance.next();
    if (draw < 0.5) return { ...before, run: { ...before.run, image } };
    if (draw < 0.7 && before.config !== null) return { ...before, config: config({ image }) };
    if (draw < 0.85) return { ...before, plugins: this.somePlugins() };
    if (before.lifecycle === 'lazy') return { ...before, lifecycle: 'hot', idleAfterMs: null };
    return { ...before, lifecycle: 'lazy', idleAfterMs: 600_000 };
  }

  private remove(inst: Instance): readonly NewEvent[] {
    return [{ type: 'spec.deleted', instance: inst.name, uid: inst.uid, data: { data: 'keep', forget: this.chance.is(0.05), prune: this.chance.is(0.3) } }];
  }

  /** Brings a deleted name back while its predecessor may still be going. */
  private redeclare(state: FleetState): readonly NewEvent[] {
    const going = [...state.names].flatMap(([name, uid]) => (state.instances.get(uid)?.desired === 'deleted' ? [name] : []));
    const name = going.length > 0 ? this.chance.pick(going) : `b${this.ids}`;
    const taken = state.instances.get(state.names.get(name) ?? '');
    if (taken !== undefined && taken.desired !== 'deleted') return [];
    const revision = this.revision();
    return [{ type: 'manifest.applied', data: { revision, manifest: null } }, this.declared(name, this.newUid(), 1, this.randomSpec(), revision)];
  }

  private fleetWide(state: FleetState): readonly NewEvent[] {
    const draw = this.chance.next();
    if (draw < 0.3) {
      const until = state.at + this.chance.int(60_000, 1_800_000);
      return [{ type: 'command.issued', data: { verb: 'hold', id: `h${(this.ids += 1)}`, reason: 'maintenance', until, target: null, instances: null } }];
    }
    if (draw < 0.6) return [{ type: 'command.issued', data: { verb: 'release', target: null, instances: null } }];
    return this.release(state).slice(1);
  }

  private randomSpec(): Spec {
    const lazy = this.chance.is(0.3);
    const liveness = this.chance.next();
    return spec({
      target: 'sim',
      targetType: 'sim',
      lifecycle: lazy ? 'lazy' : 'hot',
      idleAfterMs: lazy ? this.chance.pick([120_000, 600_000, null]) : null,
      onComplete: this.chance.is(0.1) ? 'stop' : 'restart',
      heartbeat: liveness < 0.4 ? { ...BEATS, silentAfterMs: 60_000, everyMs: 20_000, startGraceMs: 90_000 } : null,
      health: liveness > 0.3 && liveness < 0.6 && HEALTH !== null ? { ...HEALTH, everyMs: 30_000, silentAfterMs: 60_000, startGraceMs: 90_000 } : null,
      config: this.chance.is(0.3) ? config({ greeting: 'hello' }) : null,
      plugins: this.chance.is(0.3) ? this.somePlugins() : [],
    });
  }

  private somePlugins(): Spec['plugins'] {
    return ['git+file:///srv/notes', 'git+file:///srv/search'].filter(() => this.chance.is(0.5)).map((source) => plugin(`${source}#v${this.chance.int(1, 3)}`));
  }

  private declared(name: string, uid: string, generation: number, declared: Spec, revision: string): NewEvent {
    return { type: 'spec.applied', instance: name, uid, data: { spec: declared, hashes: hashesOf(declared), generation, revision } };
  }

  private newUid(): string {
    return `u${String((this.ids += 1)).padStart(4, '0')}`;
  }

  private revision(): string {
    return `r${(this.revisions += 1)}`;
  }
}
