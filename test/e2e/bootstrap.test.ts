/** The first minute on a bare clone, where somebody opens a second terminal before the first is done: one install, for both. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../support/e2e.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/bootstrap.mjs', import.meta.url));
/** In place of npm: says that it runs, waits to be let go, and leaves a tree behind. */
const NPM = `
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
appendFileSync('installs', 'begun\\n');
const wait = setInterval(() => {
  if (!existsSync('go')) return;
  clearInterval(wait);
  mkdirSync('node_modules/.bin', { recursive: true });
  writeFileSync('node_modules/.bin/node', '');
}, 20);
`;

test('two that begin at once install once: the second waits, and both go on', async (t) => {
  const { root, bootstrap } = clone(t);
  const first = bootstrap();
  await until('the first installs', () => existsSync(join(root, 'installs')));
  const second = bootstrap();
  await until('the second waits', () => /process \d+ is installing the dependencies; waiting/.test(second.said()));
  writeFileSync(join(root, 'go'), '');
  assert.deepEqual([await first.code, await second.code], [0, 0], first.said() + second.said());
  assert.equal(readFileSync(join(root, 'installs'), 'utf8'), 'begun\n');
  assert.deepEqual(
    readdirSync(root).filter((file) => file.startsWith('.holdfast-install')),
    [],
  );
});

test('an install that was killed is in nobody’s way', async (t) => {
  const { root, bootstrap } = clone(t);
  const gone = spawn(process.execPath, ['-e', '']);
  await once(gone, 'exit');
  writeFileSync(join(root, '.holdfast-install'), `${gone.pid}\n`);
  writeFileSync(join(root, 'go'), '');
  const only = bootstrap();
  assert.equal(await only.code, 0, only.said());
  assert.doesNotMatch(only.said(), /waiting/);
});

interface Bootstrap {
  readonly code: Promise<number | null>;
  said(): string;
}

function clone(t: TestContext): { readonly root: string; bootstrap(): Bootstrap } {
  const root = mkdtempSync(join(tmpdir(), 'holdfast-bootstrap-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'scripts'));
  copyFileSync(SCRIPT, join(root, 'scripts', 'bootstrap.mjs'));
  writeFileSync(join(root, 'package.json'), '{}');
  writeFileSync(join(root, 'npm.mjs'), NPM);
  return {
    root,
    bootstrap() {
      const env = { ...process.env, npm_execpath: join(root, 'npm.mjs') };
      const child = spawn(process.execPath, [join(root, 'scripts', 'bootstrap.mjs')], { env });
      // Never let go of, it would wait for ever.
      t.after(() => child.kill('SIGKILL'));
      let text = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      return { code: once(child, 'close').then(([code]) => code as number | null), said: () => text };
    },
  };
}
