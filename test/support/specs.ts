/**
 * Specs for tests: a whole one from the few keys that a test is about, and the hashes that a manifest would give it.
 */
import { configHash, infraHash } from '../../src/core/hash.ts';
import type { ConfigSpec, HeartbeatSpec, Json, PluginSpec, Spec, SpecHashes } from '../../src/core/model.ts';

/** A hot container that declares neither liveness nor config nor plugins. */
const PLAIN: Spec = {
  target: 'docker',
  targetType: 'docker',
  lifecycle: 'hot',
  labels: {},
  idleAfterMs: null,
  onComplete: 'restart',
  onDelete: 'keep',
  run: { image: 'bot:1' },
  health: null,
  heartbeat: null,
  config: null,
  plugins: [],
  expose: [],
  onSilent: null,
  onDegraded: null,
  drift: null,
};

export const spec = (part: Partial<Spec> = {}): Spec => ({ ...PLAIN, ...part });

/** 5 s beats, silent after 15 s, 30 s to come up: as the example in DESIGN §18. */
export const BEATS: HeartbeatSpec = { everyMs: 5_000, silentAfterMs: 15_000, startGraceMs: 30_000 };

export const HEALTH: Spec['health'] = {
  http: { port: 8080, path: '/readyz' },
  everyMs: 10_000,
  silentAfterMs: 15_000,
  startGraceMs: 30_000,
};

export const lazy = (part: Partial<Spec> = {}): Spec => spec({ lifecycle: 'lazy', idleAfterMs: 600_000, ...part });

/** Runs elsewhere; known by its heartbeats alone. */
export const external = (part: Partial<Spec> = {}): Spec =>
  spec({ target: 'external', targetType: 'external', run: {}, heartbeat: { ...BEATS }, ...part });

export const config = (value: Json): ConfigSpec => ({ channel: 'file', settings: { path: 'config.json' }, value });

/** "git+file:///srv/notes#v1" */
export function plugin(pinned: string, track = false): PluginSpec {
  const [source = pinned, ref = null] = pinned.split('#');
  return { source, ref, integrity: null, track, header: null };
}

/** What needs a re-provision (run, lifecycle) and what can be applied to a running agent (config), as hashes. */
export const hashesOf = (one: Spec): SpecHashes => ({
  infra: infraHash({ run: one.run, lifecycle: one.lifecycle }),
  config: one.config === null ? null : configHash(one.config.value, {}),
});
