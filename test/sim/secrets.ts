/**
 * The secret that every simulated agent is started with, and tells to whoever listens: in its last words, its heartbeats, the
 * errors about it. None of its stored versions may be found in what Holdfast writes (invariant 13).
 */
import { checkText } from '../../src/core/audit.ts';
import { Vault } from '../../src/runtime/secrets/vault.ts';
import { createMemoryStore, type MemoryDisk } from '../../src/stores/memory.ts';
import { testKey } from '../support/secret-key.ts';
import { FLEET } from './plane.ts';
import { Violated } from './violated.ts';

export const SECRET = 'llm';

export class SimSecrets {
  private readonly disk: MemoryDisk;
  private readonly seed: number;
  private readonly vault: Vault;
  private sealed = 0;

  constructor(disk: MemoryDisk, seed: number) {
    this.disk = disk;
    this.seed = seed;
    this.vault = new Vault({ store: createMemoryStore({ disk }), key: testKey(), withoutLost: false });
  }

  /** Stores every version up to this one. The store in memory has them when this returns. */
  sealUpTo(version: number): void {
    while (this.sealed < version) {
      this.sealed += 1;
      void this.vault.put(FLEET, SECRET, this.sealed, this.valueOf(this.sealed));
    }
  }

  /** `text`: what was written. Throws when a version that is stored now is in it. */
  check(text: string, where: string): void {
    const stored = this.disk.fleets.get(FLEET)?.secrets ?? [];
    const values = new Map(stored.map(({ version }) => [`${SECRET}@${version}`, this.valueOf(version)]));
    const [found] = checkText(text, values, where);
    if (found !== undefined) throw new Violated(`invariant 13: ${found.message}`);
  }

  /** With characters that JSON writes otherwise. */
  private valueOf(version: number): string {
    return `sk"sim/${this.seed}.${version}\n0123456789`;
  }
}
