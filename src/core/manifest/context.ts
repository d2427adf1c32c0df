/**
 * What a manifest is read against: the things of this build and this server that it may name. All plain data and pure
 * functions, so that reading stays pure. `TargetType` of `ports/target` fits `TargetTypeInfo` as it is.
 */
import type { JsonObject, Lifecycle, Spec } from '../model.ts';
import type { PluginPolicy } from '../plugin-source.ts';

export interface ManifestContext {
  /** Named targets, built-in ones included: name → its type. */
  readonly targets: ReadonlyMap<string, TargetTypeInfo>;
  readonly channels: ReadonlyMap<string, ChannelInfo>;
  /** Stored secrets of the fleet: name → version. */
  readonly secrets: ReadonlyMap<string, number>;
  /**
   * A reference to a secret that is not stored: an error, or accepted in the hope of it (the hash then counts it as
   * version 0, so that storing it is a rotation like any other).
   */
  readonly unsetSecrets: 'refuse' | 'allow';
  /** The name of a stored secret whose value a text shows; null: none does. Left out: nothing is known of values. */
  readonly revealed?: (text: string) => string | null;
  /** Relative paths on the host mean something only where the file lies: the CLI resolves them, HTTP refuses them. */
  readonly allowRelative: boolean;
  /** The fleet that this manifest was sent to, where that is said elsewhere (a URL). */
  readonly fleet?: string;
  /** What plugins may be declared; without it whatever can be. */
  readonly plugins?: PluginPolicy;
}

export interface TargetTypeInfo {
  readonly type: string;
  readonly lifecycles: readonly Lifecycle[];
  /** Checks and freezes `run`: defaults filled in, or every problem with its path below `run` ("ports[0]"). */
  run(raw: JsonObject): { ok: true; run: JsonObject } | { ok: false; problems: readonly SectionProblem[] };
  /** What of a spec needs a re-provision when it changes. Lifecycle and type are counted in anyway. */
  infra(spec: Spec): JsonObject;
  /** Its authority checks the health of what it runs by itself (`health: { engine: true }`). */
  readonly health?: boolean;
  /** Its targets can deliver plugins. */
  readonly plugins?: boolean;
  /** What a re-provision means for what runs; `recreate` where it is not said. */
  readonly infraEffect?: 'restart' | 'recreate';
}

export interface ChannelInfo {
  /** Checks and freezes the settings beside `channel` and `value`. */
  settings(raw: JsonObject): { ok: true; settings: JsonObject } | { ok: false; problems: readonly SectionProblem[] };
  /** What a new value means for what runs, under these settings; `config` where it is not said. */
  effect?(settings: JsonObject): 'config' | 'restart';
}

export interface SectionProblem {
  /** Below the section: "", "image", "ports[0]", "env.X". */
  readonly path: string;
  readonly message: string;
}
