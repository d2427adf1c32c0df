/**
 * Where declared plugins come from. What is handed over is fetched, checked and at rest in a folder of ours: whoever delivers
 * it has only to copy it, and to compare digests afterwards. Nothing of a plugin is ever executed on the way.
 *
 * Failures are `TargetError`s with `fault: instance`: a plugin that cannot be had is nobody's fault but its own, and opens no
 * breaker. They name source and ref, what came back, and never a secret.
 */
import type { PluginSpec } from '../core/model.ts';
import type { TreeEntry } from '../core/plugin-tree.ts';

/** A plugin as it was declared, in a fleet: its header's secrets are that fleet's. */
export interface WantedPlugin extends PluginSpec {
  readonly fleet: string;
}

/** A checked tree at rest. */
export interface PluginTree {
  readonly source: string;
  readonly ref: string | null;
  readonly sha: string;
  readonly treeDigest: string;
  /** From its `plugin.json`. The name is also that of its folder on the box. */
  readonly name: string;
  readonly version: string;
  readonly restart: boolean;
  /** Names of plugins that it needs beside it. */
  readonly needs: readonly string[];
  /** Every file and link; folders are what their paths say. */
  readonly entries: readonly TreeEntry[];
  readonly sizeBytes: number;
  /** Where it lies. Read-only, and there until `release`. */
  readonly folder: string;
  release(): void;
}

export interface PluginSources {
  /** How often a tracked ref is to be looked up, ms. */
  readonly trackEveryMs: number;
  /** The sha that it is at now. Asks nobody where the ref itself says it. */
  resolve(wanted: WantedPlugin, signal: AbortSignal): Promise<string>;
  /** Its tree; fetched only if it is not here already. */
  fetch(wanted: WantedPlugin, signal: AbortSignal): Promise<PluginTree>;
}
