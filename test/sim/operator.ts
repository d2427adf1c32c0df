/**
 * A restless operator: declares, changes, stops, wakes, deletes, holds. Speaks through the store as the API does: refused
 * where a command cannot be, durable where it can.
 */
import { inadmissible } from '../../src/core/commands.ts';
import type { NewEvent, Verb } from '../../src/core/events.ts';
import {
  DEFAULT_POLICY,
  type Deletion,
  type FleetState,
  type Instance,
  type Spec,
  type SpecHashes,
} from '../../src/core/model.ts';
import { hashesOf } from '../support/specs.ts';
import { changed, corrected, randomPolicy, randomSpec } from './declared.ts';
import type { Chance } from './prng.ts';
import { SECRET } from './secrets.ts';

const VERBS: readonly Verb[] = [
  'reconcile',
  'stop',
  'resume',
  'resume',
  'restart',
  'restart',
  'wake',
  'wake',
  'wake',
  'sleep',
];

export class Operator {
  private readonly chance: Chance;
  /** target → identity that is really its own. */
  private readonly identities: ReadonlyMap<string, string>;
  private ids = 0;
  private revisions = 0;
  private secrets = 0;

  constructor(chance: Chance, identities: ReadonlyMap<string, string>) {
    this.chance = chance;
    this.identities = identities;
  }

  /** The first manifest: a policy and `count` instances of every kind. */
  opening(count: number): readonly NewEvent[] {
    const revision = this.revision();
    const specs = Array.from({ length: count }, () => randomSpec(this.chance, this.revisions));
    return [
      ...this.rotate([]),
      applied(revision),
      { type: 'policy.changed', data: { policy: DEFAULT_POLICY } },
      ...specs.map((one, i) => declared(`a${String(i).padStart(2, '0')}`, this.newUid(), 1, one, revision)),
    ];
  }

  /** One whim. */
  whim(state: FleetState): readonly NewEvent[] {
    const living = [...state.instances.values()].filter((inst) => inst.desired !== 'deleted');
    if (living.length === 0) return [];
    const draw = this.chance.next();
    if (draw < 0.5) return this.verb(this.chance.pick(living));
    if (draw < 0.66) return this.change(living);
    if (draw < 0.7) return this.correct(living);
    if (draw < 0.76) return this.remove(this.chance.pick(living));
    if (draw < 0.84) return this.redeclare(state);
    if (draw < 0.87) return this.rotate(living);
    if (draw < 0.9) return [{ type: 'policy.changed', data: { policy: randomPolicy(this.chance) } }];
    return this.fleetWide(state, living);
  }

  /** It is being done, and is not wanted any more, or wanted otherwise. */
  secondThought(inst: Instance): readonly NewEvent[] {
    if (inst.desired === 'deleted')
      return this.chance.is(0.3) ? [deleted(inst, { data: 'keep', forget: true, prune: false })] : [];
    const draw = this.chance.next();
    if (draw < 0.4) return inadmissible(inst, 'stop') === null ? [command(inst, 'stop')] : [command(inst, 'resume')];
    if (draw < 0.6) return [deleted(inst, { data: 'keep', forget: this.chance.is(0.2), prune: false })];
    return draw < 0.8 ? this.verb(inst) : this.change([inst]);
  }

  /** Faults have ceased: nothing the operator did may stand in the way of convergence any more. */
  peace(state: FleetState): readonly NewEvent[] {
    const living = [...state.instances.values()].filter((inst) => inst.desired !== 'deleted');
    const held = living.filter((inst) => inst.quarantinedSeq !== null);
    const going = [...state.instances.values()].filter((inst) => inst.desired === 'deleted');
    return [
      { type: 'command.issued', data: { verb: 'release', target: null, instances: null } },
      { type: 'policy.changed', data: { policy: DEFAULT_POLICY } },
      ...this.overrides(),
      ...held.map((inst) => command(inst, 'reconcile')),
      ...going.map((inst) => deleted(inst, { data: 'keep', forget: false, prune: false })),
      ...this.correct(living),
    ];
  }

  private overrides(): readonly NewEvent[] {
    return [...this.identities].map(([target, identity]) => ({
      type: 'command.issued',
      data: { verb: 'override', target, identity, rollout: true },
    }));
  }

  private verb(inst: Instance): readonly NewEvent[] {
    const verb = this.chance.pick(VERBS);
    return inadmissible(inst, verb) !== null ? [] : [command(inst, verb)];
  }

  /** A new generation of one, or of many at once (a rollout). */
  private change(living: readonly Instance[]): readonly NewEvent[] {
    const revision = this.revision();
    const chosen = this.chance.is(0.25) ? living.filter(() => this.chance.is(0.4)) : [this.chance.pick(living)];
    return [
      applied(revision),
      ...chosen.map((inst) => again(inst, changed(inst.spec, this.chance, this.revisions), revision)),
    ];
  }

  private correct(living: readonly Instance[]): readonly NewEvent[] {
    const revision = this.revision();
    const fixed = living
      .map((inst) => ({ inst, spec: corrected(inst.spec, this.revisions) }))
      .filter(({ inst, spec }) => inst.spec !== spec);
    return fixed.length === 0 ? [] : [applied(revision), ...fixed.map(({ inst, spec }) => again(inst, spec, revision))];
  }

  private remove(inst: Instance): readonly NewEvent[] {
    return [deleted(inst, { data: 'keep', forget: this.chance.is(0.15), prune: this.chance.is(0.3) })];
  }

  /** Brings a deleted name back while its predecessor may still be going. */
  private redeclare(state: FleetState): readonly NewEvent[] {
    const going = [...state.names].flatMap(([name, uid]) =>
      state.instances.get(uid)?.desired === 'deleted' ? [name] : [],
    );
    const name = going.length > 0 ? this.chance.pick(going) : `b${(this.ids += 1)}`;
    const revision = this.revision();
    return [applied(revision), declared(name, this.newUid(), 1, randomSpec(this.chance, this.revisions), revision)];
  }

  /** A secret that the configs of some depend on. Now and then the version before was sealed, and its fact never written. */
  private rotate(living: readonly Instance[]): readonly NewEvent[] {
    this.secrets += this.chance.is(0.2) ? 2 : 1;
    const using = living.filter((inst) => inst.hashes.config !== null && this.chance.is(0.3));
    const hashes = Object.fromEntries(
      using.map((inst): [string, SpecHashes] => [
        inst.uid,
        { ...inst.hashes, config: `${inst.uid}-llm-${this.secrets}` },
      ]),
    );
    return [{ type: 'secret.rotated', data: { secret: SECRET, version: this.secrets, hashes } }];
  }

  private fleetWide(state: FleetState, living: readonly Instance[]): readonly NewEvent[] {
    const draw = this.chance.next();
    if (draw < 0.45) {
      const until = this.chance.is(0.8) ? state.at + this.chance.int(60_000, 1_200_000) : null;
      return [
        {
          type: 'command.issued',
          data: { verb: 'hold', id: `h${(this.ids += 1)}`, reason: 'maintenance', until, ...this.scope(living) },
        },
      ];
    }
    if (draw < 0.7) return [{ type: 'command.issued', data: { verb: 'release', target: null, instances: null } }];
    return this.overrides();
  }

  private scope(living: readonly Instance[]): { target: string | null; instances: readonly string[] | null } {
    const draw = this.chance.next();
    if (draw < 0.3) return { target: null, instances: null };
    if (draw < 0.6) return { target: this.chance.pick(['sim', 'side']), instances: null };
    return { target: null, instances: living.filter(() => this.chance.is(0.2)).map(({ name }) => name) };
  }

  private newUid(): string {
    return `u${String((this.ids += 1)).padStart(4, '0')}`;
  }

  private revision(): string {
    return `r${(this.revisions += 1)}`;
  }
}

const applied = (revision: string): NewEvent => ({ type: 'manifest.applied', data: { revision, manifest: null } });

const command = (inst: Instance, verb: Verb): NewEvent => ({
  type: 'command.issued',
  instance: inst.name,
  uid: inst.uid,
  data: { verb },
});

const deleted = (inst: Instance, data: Deletion): NewEvent => ({
  type: 'spec.deleted',
  instance: inst.name,
  uid: inst.uid,
  data,
});

const again = (inst: Instance, spec: Spec, revision: string): NewEvent =>
  declared(inst.name, inst.uid, inst.generation + 1, spec, revision);

export const declared = (name: string, uid: string, generation: number, spec: Spec, revision: string): NewEvent => ({
  type: 'spec.applied',
  instance: name,
  uid,
  data: { spec, hashes: hashesOf(spec), generation, revision },
});
