/**
 * Imports point down, core is pure, and adapters meet only where they are wired (rules: layers.ts). The second half plants
 * each violation, because a rule that cannot be red checks nothing.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { layerComplaints } from './layers.ts';
import { isTypeScript, print, readFiles } from './source.ts';

const sources = readFiles(isTypeScript, ['src']);

test('src keeps to its layers', () => {
  assert.ok(sources.size > 0, 'no sources were read');
  assert.equal(print(layerComplaints(sources)), '');
});

describe('a planted violation is found:', () => {
  const violations: readonly [rule: string, file: string, line: string][] = [
    ['down', 'src/core/planted.ts', "import type { Clock } from '../ports/clock.ts';"],
    ['down', 'src/ports/planted.ts', "export * from '../runtime/loop.ts';"],
    ['down', 'src/runtime/planted.ts', "export type { App } from '../http/app.ts';"],
    ['down', 'src/http/planted.ts', "const proxy = await import('../proxy/proxy.ts');"],
    ['down', 'src/targets/planted.ts', "import '../stores/memory.ts';"],
    ['down', 'src/stores/planted.ts', "type Seen = import('../observe/metrics.ts').Seen;"],
    ['down', 'src/web/planted.tsx', "import type { Phase } from '../core/model.ts';"],
    ['down', 'src/cli/planted.ts', "import '../web/app.tsx';"],
    ['wiring', 'src/runtime/planted.ts', "import { memoryStore } from '../stores/memory.ts';"],
    ['wiring', 'src/http/planted.ts', "import { docker } from '../targets/docker/target.ts';"],
    ['adapter', 'src/targets/docker/planted.ts', "import { run } from '../process/run.ts';"],
    ['adapter', 'src/stores/memory.ts', "import { open } from './sqlite/database.ts';"],
    ['pure-imports', 'src/core/planted.ts', "import { readFileSync } from 'node:fs';"],
    ['pure-imports', 'src/core/planted.ts', "import pino from 'pino';"],
    ['pure-imports', 'src/core/planted.ts', "import { z } from 'zod-something-else';"],
    ['pure-globals', 'src/core/planted.ts', 'export const at = Date.now();'],
    ['pure-globals', 'src/core/planted.ts', 'export const at = new Date();'],
    ['pure-globals', 'src/core/planted.ts', 'export const at = Date();'],
    ['pure-globals', 'src/core/planted.ts', 'export const chance = Math.random();'],
    ['pure-globals', 'src/core/planted.ts', "export const leak = globalThis['Date'];"],
    ['pure-globals', 'src/core/planted.ts', 'setTimeout(() => {}, 1);'],
    ['pure-globals', 'src/core/planted.ts', 'export const env = { process };'],
    ['outside', 'src/runtime/planted.ts', "import { world } from '../../test/sim/world.ts';"],
  ];
  for (const [rule, file, line] of violations) {
    test(`${rule}: ${file}: ${line}`, () => {
      const complaints = layerComplaints(new Map([[file, line]]));
      assert.deepEqual(
        complaints.map((complaint) => complaint.rule),
        [rule],
      );
    });
  }
});

describe('what is allowed stays allowed:', () => {
  const allowed: readonly [file: string, line: string][] = [
    [
      'src/core/planted.ts',
      "import { z } from 'zod'; import { sha256 } from '@noble/hashes/sha2.js'; import './model.ts';",
    ],
    ['src/core/planted.ts', 'export const iso = (ms: number): string => new Date(ms).toISOString();'],
    ['src/core/planted.ts', "// import fs from 'node:fs'; Date.now()\nexport const text = 'process.exit()';"],
    [
      'src/core/planted.ts',
      'export interface Spec { process: string }\nexport const of = (spec: Spec): string => spec.process;',
    ],
    ['src/runtime/compose.ts', "import { memoryStore } from '../stores/memory.ts';"],
    ['src/cli/planted.ts', "import { docker } from '../targets/docker/target.ts'; import '../runtime/compose.ts';"],
    ['src/stores/sqlite/planted.ts', "import { rules } from '../rules.ts';"],
  ];
  for (const [file, line] of allowed) {
    test(`${file}: ${line}`, () => assert.equal(print(layerComplaints(new Map([[file, line]]))), ''));
  }
});
