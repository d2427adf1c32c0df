/**
 * The values of stored secrets: sealed in the store, open in the memory of the fleet's owner and nowhere else.
 *
 *  1. What is stored under a version never changes (the store sees to it), so who read a version once has it.
 *  2. A key that is missing or is another one is said before a fleet is taken over, and nothing is lost by it. Only who was
 *     told that the key is lost for good goes on without those values, until they are stored anew.
 *  3. A key is made when the first secret is stored, never while something sealed is waiting for another one.
 */
import type { FleetState } from '../../core/model.ts';
import type { Store } from '../../ports/store.ts';
import { VERSIONS_KEPT } from './limits.ts';
import { Redactor, type RedactedSecret } from './redactor.ts';
import { open, seal } from './seal.ts';

/** A value cannot be had; `message` says which, and what can be done. */
export class SecretError extends Error {
  override readonly name = 'SecretError';
}

export interface SecretKey {
  /** Where it is, for people. */
  readonly where: string;
  /** null: there is none. Throws when it is there and damaged. */
  read(): Buffer | null;
  /** Throws where one can only be given. */
  make(): Buffer;
}

export interface VaultWorld {
  readonly store: Pick<Store, 'secrets' | 'putSecret' | 'dropSecrets'>;
  readonly key: SecretKey;
  /** Go on although there are values that cannot be opened. */
  readonly withoutLost: boolean;
}

/** null: it is stored, and cannot be opened. */
type Versions = Map<number, string | null>;

export class Vault {
  readonly redactor: Redactor;
  private readonly world: VaultWorld;
  private readonly fleets = new Map<string, Map<string, Versions>>();

  constructor(world: VaultWorld) {
    this.world = world;
    this.redactor = new Redactor(() => this.all());
  }

  /** Reads what the fleet has stored; before it is decided for. */
  async load(fleet: string): Promise<void> {
    const sealed = await this.world.store.secrets(fleet);
    const names = new Map<string, Versions>();
    const lost = new Map<string, string>();
    const key = sealed.length === 0 ? null : this.world.key.read();
    for (const { name, version, sealed: bytes } of sealed) {
      const opened =
        key === null ? { ok: false as const, why: 'no-key' as const } : open(key, { fleet, name, version }, bytes);
      if (!opened.ok) lost.set(name, WHY[opened.why]);
      put(names, name, version, opened.ok ? opened.value : null);
    }
    if (lost.size > 0 && !this.world.withoutLost) throw new SecretError(this.lostText(fleet, lost));
    this.fleets.set(fleet, names);
    this.redactor.changed();
  }

  /** The fleet is no more. */
  forget(fleet: string): void {
    if (this.fleets.delete(fleet)) this.redactor.changed();
  }

  /** Seals and stores a version; false when there is one of that number already. Known here before anybody can ask for it. */
  async put(fleet: string, name: string, version: number, value: string): Promise<boolean> {
    const { store, key } = this.world;
    const sealed = seal(key.read() ?? key.make(), { fleet, name, version }, value);
    if (!(await store.putSecret(fleet, { name, version, sealed }))) return false;
    put(this.namesOf(fleet), name, version, value);
    this.redactor.changed();
    return true;
  }

  /** The newest version that anybody stored here, in force or not; 0: none. */
  newest(fleet: string, name: string): number {
    return Math.max(0, ...(this.fleets.get(fleet)?.get(name)?.keys() ?? []));
  }

  /**
   * Drops what the log says is of no use any more: deleted, or replaced more than `VERSIONS_KEPT` ago. What is newer than the
   * log knows may be on its way into it, and is left alone.
   */
  async tidy(state: FleetState): Promise<void> {
    const { fleet } = state;
    for (const [name, versions] of this.fleets.get(fleet) ?? []) {
      const inForce = state.secrets.get(name)?.version;
      const past = [...versions.keys()]
        .filter((version) => version <= (inForce ?? state.secretFloor))
        .sort((a, b) => b - a);
      const upTo = past[inForce === undefined ? 0 : VERSIONS_KEPT];
      if (upTo === undefined) continue;
      await this.world.store.dropSecrets(fleet, name, upTo);
      for (const version of past) if (version <= upTo) versions.delete(version);
      this.redactor.changed();
    }
  }

  /** Throws `SecretError`. */
  value(fleet: string, name: string, version: number): string {
    const value = this.fleets.get(fleet)?.get(name)?.get(version);
    if (typeof value === 'string') return value;
    const what = `the value of secret "${name}" (version ${version}) of fleet "${fleet}"`;
    throw new SecretError(
      value === null
        ? `${what} cannot be opened with the key in ${this.world.key.where}: store it anew (holdfast secret set ${name})`
        : `${what} is not stored: store it (holdfast secret set ${name})`,
    );
  }

  private namesOf(fleet: string): Map<string, Versions> {
    const known = this.fleets.get(fleet);
    if (known !== undefined) return known;
    const names = new Map<string, Versions>();
    this.fleets.set(fleet, names);
    return names;
  }

  private *all(): Iterable<RedactedSecret> {
    for (const names of this.fleets.values()) {
      for (const [name, versions] of names)
        for (const value of versions.values()) if (value !== null) yield { name, value };
    }
  }

  private lostText(fleet: string, lost: ReadonlyMap<string, string>): string {
    const names = [...lost.keys()].slice(0, 5).join(', ');
    const more = lost.size > 5 ? ` and ${lost.size - 5} more` : '';
    const why = [...new Set(lost.values())].join('; ');
    return (
      `the stored secrets of fleet "${fleet}" cannot be opened (${names}${more}): ${why} (${this.world.key.where}). ` +
      'Nothing is changed. Put the right key there, from a backup; if it is lost for good, start once with --without-lost-secrets and store them anew.'
    );
  }
}

const WHY = {
  'no-key': 'the key is missing',
  'other-key': 'they were sealed with another key',
  damaged: 'they are damaged',
} as const;

function put(names: Map<string, Versions>, name: string, version: number, value: string | null): void {
  const versions = names.get(name);
  if (versions === undefined) names.set(name, new Map([[version, value]]));
  else versions.set(version, value);
}
