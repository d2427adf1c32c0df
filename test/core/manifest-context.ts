/**
 * A world for manifests to be read against: three target types and a channel that are strict in what the tests touch.
 * The types of the real targets have suites of their own.
 */
import type { ChannelInfo, ManifestContext, SectionProblem, TargetTypeInfo } from '../../src/core/manifest/context.ts';
import { readManifest } from '../../src/core/manifest/read.ts';
import type { Manifest } from '../../src/core/manifest/read.ts';
import type { JsonObject } from '../../src/core/model.ts';

/** Knows `image` (needed) and `ports`; `extra` is what a build may add as a default. */
export function dockerType(extra: JsonObject = { init: true }): TargetTypeInfo {
  return {
    type: 'docker',
    health: true,
    lifecycles: ['hot', 'lazy'],
    plugins: true,
    run(raw) {
      const problems: SectionProblem[] = [];
      if (typeof raw['image'] !== 'string') problems.push({ path: 'image', message: 'missing: say which image' });
      const ports = Array.isArray(raw['ports']) ? (raw['ports'] as unknown[]) : [];
      ports.forEach((port, i) => {
        if (typeof port !== 'number') problems.push({ path: `ports[${i}]`, message: 'expected a port' });
      });
      return problems.length > 0 ? { ok: false, problems } : { ok: true, run: { ...extra, ...raw } };
    },
    infra: (spec) => ({ run: spec.run }),
  };
}

export const processType: TargetTypeInfo = {
  type: 'process',
  lifecycles: ['hot', 'lazy'],
  plugins: true,
  run(raw) {
    const problems: SectionProblem[] = [];
    if (!Array.isArray(raw['command'])) problems.push({ path: 'command', message: 'missing: say what to run' });
    if (typeof raw['cwd'] === 'string' && raw['cwd'].startsWith('..'))
      problems.push({ path: 'cwd', message: 'must be absolute' });
    return problems.length > 0 ? { ok: false, problems } : { ok: true, run: raw };
  },
  infra: (spec) => ({ run: spec.run }),
  infraEffect: 'restart',
};

export const externalType: TargetTypeInfo = {
  type: 'external',
  lifecycles: ['hot'],
  run: () => ({ ok: true, run: {} }),
  infra: () => ({}),
};

export const fileChannel: ChannelInfo = {
  settings: (raw) =>
    typeof raw['path'] === 'string'
      ? { ok: true, settings: { onChange: 'restart', ...raw } }
      : { ok: false, problems: [{ path: 'path', message: 'missing: say which file' }] },
  effect: (settings) => (settings['onChange'] === 'restart' ? 'restart' : 'config'),
};

export function contextOf(changes: Partial<ManifestContext> = {}): ManifestContext {
  const docker = dockerType();
  return {
    targets: new Map([
      ['docker', docker],
      ['box1', docker],
      ['process', processType],
      ['external', externalType],
    ]),
    channels: new Map([['file', fileChannel]]),
    secrets: new Map([['llm', 3]]),
    unsetSecrets: 'refuse',
    allowRelative: false,
    ...changes,
  };
}

export function readGood(text: string, context: ManifestContext = contextOf()): Manifest {
  const result = readManifest(text, context);
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result.errors, null, 2)}`);
  return result.manifest;
}

/** Instances under a frame of two lines, so that the first instance line is line 4. */
export function withInstances(lines: string): string {
  return `version: 1\nfleet: demo\ninstances:\n${lines}`;
}
