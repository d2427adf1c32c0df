/**
 * The linter and the compiler are switched on: each rule that we lean on is planted in a copy of the project's settings and
 * found there. A clean file beside it proves that the same settings can be green.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ROOT } from './source.ts';

const SETTINGS = [
  '.oxlintrc.json',
  'package.json',
  'tsconfig.base.json',
  'tsconfig.json',
  'src/tsconfig.json',
  'src/core/tsconfig.json',
];
const TOOL_DEADLINE_MS = 60_000;

const CLEAN = '/** Clean. */\nexport const one = (): number => 1;\n';
const LATER = 'export async function later(): Promise<void> { await Promise.resolve(); }\n';
const KIND = "type Kind = { kind: 'a' } | { kind: 'b' };\n";

const LINT: readonly [rule: string, file: string, code: string][] = [
  ['typescript(no-floating-promises)', 'src/runtime', `${LATER}export function drop(): void { later(); }`],
  [
    'typescript(no-misused-promises)',
    'src/runtime',
    `${LATER}export function drop(): void { [1].forEach(async () => later()); }`,
  ],
  [
    'typescript(no-misused-promises)',
    'src/runtime',
    `${LATER}export function drop(): number { if (later()) return 1; return 2; }`,
  ],
  [
    'typescript(await-thenable)',
    'src/runtime',
    'export async function f(x: { y: number }): Promise<number> { const z = await x.y; return z; }',
  ],
  [
    'typescript(switch-exhaustiveness-check)',
    'src/runtime',
    `${KIND}export function f(k: Kind): void { switch (k.kind) { case 'a': f(k); } }`,
  ],
  ['typescript(only-throw-error)', 'src/runtime', "export function f(): void { throw 'text'; }"],
  ['typescript(no-explicit-any)', 'src/runtime', 'export const f = (x: any): unknown => x;'],
  ['typescript(no-unsafe-assignment)', 'src/runtime', "export const x: number = JSON.parse('1');"],
  [
    'typescript(consistent-type-imports)',
    'src/runtime',
    "import { Stats } from 'node:fs';\nexport const x: Stats | null = null;",
  ],
  ['eslint(no-console)', 'src/runtime', "console.log('x');"],
  ['eslint(no-empty)', 'src/runtime', 'export function f(): void { try { f(); } catch {} }'],
  ['unicorn(error-message)', 'src/runtime', 'export const f = (): Error => new Error();'],
  ['import(no-default-export)', 'src/runtime', 'export default 1;'],
  ['eslint(no-restricted-properties)', 'src/core', 'export const at = (): number => Date.now();'],
  ['eslint(no-restricted-properties)', 'src/core', 'export const chance = (): number => Math.random();'],
  ['eslint(no-restricted-globals)', 'src/core', 'export const leak = (): unknown => globalThis;'],
  ['typescript(no-floating-promises)', 'test', `${LATER}test('x', () => { later(); });`],
];

/** What is no part of the language itself does not exist in core: no types of Node, none of the browser. */
const NO_SUCH_NAME_IN_CORE: readonly string[] = [
  'process.exit(1);',
  'setTimeout(() => {}, 1);',
  "console.log('x');",
  "void fetch('x');",
  "import 'node:fs';",
  'export const now = (): unknown => performance.now();',
  "export const bytes = (): unknown => Buffer.from('x');",
  'export const signal = (): unknown => new AbortController();',
];

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-rules-'));
  for (const path of SETTINGS) await cp(join(ROOT, path), join(folder, path));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  await plant('src/core/clean.ts', CLEAN);
});
after(() => rm(folder, { recursive: true, force: true }));

describe('the linter finds', () => {
  let found: readonly string[];
  const planted = (index: number): string => `${LINT[index]![1]}/planted-${index}.ts`;

  before(async () => {
    for (const [index, [, , code]] of LINT.entries()) await plant(planted(index), `/** Planted. */\n${code}\n`);
    const { code, output } = await run('oxlint', ['--type-aware', '-f', 'unix']);
    assert.notEqual(code, 0, output);
    found = output.split('\n');
  });
  for (const [index, [rule, place, code]] of LINT.entries()) {
    test(`${rule} in ${place}: ${code.split('\n').at(-1)}`, () => {
      const lines = found.filter((line) => line.includes(planted(index)));
      assert.ok(
        lines.some((line) => line.includes(rule)),
        `not found; about this file it says: ${lines.join('; ') || 'nothing'}`,
      );
    });
  }
  test('and nothing in a clean file', () =>
    assert.deepEqual(
      found.filter((line) => line.includes('clean.ts')),
      [],
    ));
});

describe('the compiler refuses in core', () => {
  let output: string;
  const planted = (index: number): string => `src/core/foreign-${index}.ts`;

  before(async () => {
    for (const [index, code] of NO_SUCH_NAME_IN_CORE.entries()) await plant(planted(index), `export {};\n${code}\n`);
    output = (await run('tsc', ['-p', 'src/core', '--noEmit', '--composite', 'false'])).output;
  });
  for (const [index, code] of NO_SUCH_NAME_IN_CORE.entries()) {
    test(code, () => {
      // 2304, 2552, 2580, 2584, 2591: cannot find the name; 2307, 2882: cannot find the module.
      assert.match(
        output,
        new RegExp(`foreign-${index}\\.ts\\(2,\\d+\\): error TS(2304|2552|2580|2584|2591|2307|2882)`),
      );
    });
  }
  test('and nothing in a clean file', () => assert.doesNotMatch(output, /clean\.ts/));
});

async function plant(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), text);
}

/** A tool of node_modules, run in the copy. Red is what is expected, so a failure is an answer, not an exception. */
function run(tool: string, args: readonly string[]): Promise<{ code: number; output: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number; output: string }>();
  const options = { cwd: folder, timeout: TOOL_DEADLINE_MS, maxBuffer: 16 * 1024 * 1024 };
  execFile(process.execPath, [join(ROOT, 'node_modules/.bin', tool), ...args], options, (error, stdout, stderr) => {
    const code = error === null ? 0 : error.code;
    if (typeof code === 'number') resolve({ code, output: `${stdout}${stderr}` });
    else reject(new Error(`${tool} could not be run in ${folder}: ${error?.message}`, { cause: error }));
  });
  return promise;
}
