/**
 * Writes the pages that are made from code. `npm run docs`; with `-- --check` it writes nothing and fails if one is stale,
 * which is what CI runs.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decisionTableMarkdown } from '../src/core/decision-table.ts';
import { dashboardJson } from './dashboard.ts';
import { DEBUGGING, debuggingPage } from './debugging.ts';
import { STUCK } from './stuck-logs.ts';

const PAGES: readonly { readonly path: string; readonly make: () => string | Promise<string> }[] = [
  { path: 'docs/decision-table.md', make: decisionTableMarkdown },
  { path: 'deploy/grafana/holdfast.json', make: dashboardJson },
  ...STUCK,
  // Behind the logs that its commands look at.
  { path: DEBUGGING, make: debuggingPage },
];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const check = process.argv.includes('--check');
let stale = 0;

for (const { path, make } of PAGES) {
  const file = join(root, path);
  const made = await make();
  if (read(file) === made) {
    console.log(`${path}: up to date`);
  } else if (check) {
    console.error(`${path} is stale: it is not what the code says now; run "npm run docs" and commit it`);
    stale += 1;
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, made);
    console.log(`${path}: written`);
  }
}
process.exitCode = stale === 0 ? 0 : 1;

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null; // not there yet, which is as stale as can be
  }
}
