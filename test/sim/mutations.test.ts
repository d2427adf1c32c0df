/**
 * Does the simulator bite? Holdfast and the simulator are copied, one rule in the copy is broken, and seeds are run against
 * it until one fails, which must be soon and for the right reason. Production code needs no seam for this.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MUTATIONS, type Mutation } from './mutations.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Seeds tried until one fails, and their hours. */
const SEEDS = 40;
const HOURS = 8;
/** A few seeds take a minute on a machine that is busy. */
const TIMEOUT_MS = 5 * 60_000;

function copyOf({ file, from, to }: Mutation): string {
  const copy = mkdtempSync(join(tmpdir(), 'holdfast-broken-'));
  for (const part of ['src', 'test/sim', 'test/support'])
    cpSync(join(ROOT, part), join(copy, part), { recursive: true });
  for (const part of ['node_modules', 'package.json']) symlinkSync(join(ROOT, part), join(copy, part));
  const path = join(copy, 'src', file);
  const source = readFileSync(path, 'utf8');
  const found = [...source.matchAll(anyLayout(from))];
  assert.equal(found.length, 1, `src/${file} must hold ${JSON.stringify(from)} exactly once`);
  writeFileSync(
    path,
    source.replace(anyLayout(from), () => to),
  );
  return copy;
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&');

/** The same code however a formatter breaks its lines. */
const anyLayout = (code: string): RegExp =>
  new RegExp(
    escaped(code)
      .replace(/\s+/gu, '\\s+')
      .replaceAll('\\(', '\\(\\s*')
      .replaceAll('\\)', ',?\\s*\\)')
      .replaceAll('\\}', ',?\\s*\\}'),
    'gu',
  );

/** Runs seeds until one fails; what it says, or null if all pass. */
async function firstFailure(copy: string): Promise<string | null> {
  const args = ['--disable-warning=ExperimentalWarning', 'test/sim/main.ts', '1', String(SEEDS), String(HOURS)];
  const child = spawn(process.execPath, args, { cwd: copy, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let failure: string | null = null;
  for await (const line of createInterface({ input: child.stdout })) {
    const result = JSON.parse(line) as { ok: boolean; message?: string };
    if (result.ok) continue;
    failure = result.message ?? '';
    child.kill('SIGKILL');
    break;
  }
  await ended;
  assert.equal(stderr, '', 'the broken copy must run');
  return failure;
}

describe('the simulator finds a Holdfast that', { concurrency: 2 }, () => {
  for (const mutation of MUTATIONS) {
    test(mutation.does, { timeout: TIMEOUT_MS }, async (t) => {
      const copy = copyOf(mutation);
      t.after(() => rmSync(copy, { recursive: true, force: true }));
      const failure = await firstFailure(copy);
      assert.ok(
        failure !== null,
        `${SEEDS} seeds of ${HOURS} hours, and nothing was found: the simulator lacks a check or a fault`,
      );
      assert.match(failure, mutation.violates);
      assert.match(failure, /^Violated: /);
    });
  }
});
