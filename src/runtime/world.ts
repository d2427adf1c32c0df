/**
 * What the composed runtime is made of: everything that `compose` (or the simulator) chooses, in one place.
 */
import type { ChannelInfo, TargetTypeInfo } from '../core/manifest/context.ts';
import type { PluginPolicy } from '../core/plugin-source.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../ports/store.ts';
import type { LevelSwitch, Log } from './log.ts';
import type { Lag } from './pulse.ts';
import type { Registry } from './registry.ts';
import type { Runtime } from './runtime.ts';
import type { Vault } from './secrets/vault.ts';
import type { Targets } from './targets.ts';

export interface World {
  readonly version: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly logLevel: LevelSwitch;
  readonly runtime: Runtime;
  readonly targets: Targets;
  readonly registry: Registry;
  readonly vault: Vault;
  /** Named targets that manifests may use: name → type. */
  readonly targetTypes: ReadonlyMap<string, TargetTypeInfo>;
  readonly channels: ReadonlyMap<string, ChannelInfo>;
  /** What plugins manifests may declare. */
  readonly pluginPolicy: PluginPolicy;
  /** Fresh random ids, 16 hex digits; seeded in the simulator. */
  newId(): string;
  /** Fresh random secrets, base64url; never logged. */
  newSecret(): string;
  /** How late the event loop is. */
  lag(): Lag;
  /** Text in Prometheus' exposition format. */
  metrics(): Promise<string>;
}
