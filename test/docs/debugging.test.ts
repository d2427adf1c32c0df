/** The debugging page walks through real logs with real commands: both are what this build makes of them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEBUGGING, debuggingPage } from '../../scripts/debugging.ts';
import { STUCK } from '../../scripts/stuck-logs.ts';
import { ROOT } from '../style/source.ts';

for (const { path, make } of STUCK) {
  test(`${path} is what the simulator writes today; else run "npm run docs"`, async () => {
    assert.equal(readFileSync(join(ROOT, path), 'utf8'), await make());
  });
}

test(`every command in ${DEBUGGING} says what the page shows; else run "npm run docs"`, async () => {
  const page = readFileSync(join(ROOT, DEBUGGING), 'utf8');
  assert.equal(await debuggingPage(), page);
  assert.ok((page.match(/^\$ holdfast --log docs\/stuck/gm) ?? []).length >= 10);
});
