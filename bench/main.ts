/**
 * `npm run bench -- NAME… [--json]`: each figure beside its goal and its peer, measured in the same run. Never a test: what
 * a machine can do today is not what a program must do.
 *
 * A benchmark is one section, or a list of sections; each section of a list runs in a process of its own, so that the heap
 * that one leaves behind is not what the next one measures.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { createInterface } from 'node:readline';
import type { Bench, Figure } from './figure.ts';
import { show } from './figure.ts';

const SECTIONS: { readonly [name: string]: () => Promise<{ bench: Bench }> } = {
  ticks: () => import('./ticks.ts'),
  replaying: () => import('./replaying.ts'),
  asking: () => import('./asking.ts'),
  weight: () => import('./weight.ts'),
  starting: () => import('./starting.ts'),
  healing: () => import('./healing.ts'),
  proxy: () => import('./proxy.ts'),
  registry: () => import('./registry.ts'),
  docker: () => import('./docker.ts'),
};

const LISTS: { readonly [name: string]: readonly string[] } = {
  replay: ['replaying', 'asking'],
  core: ['ticks', 'replaying', 'weight', 'starting', 'healing'],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
});
const all = [...Object.keys(LISTS), ...Object.keys(SECTIONS)];
const unknown = positionals.filter((name) => !all.includes(name));
if (unknown.length > 0 || positionals.length === 0) {
  const lead = unknown.length > 0 ? `no benchmark is called ${unknown.join(', ')}; ` : '';
  process.stderr.write(`${lead}there are: ${all.join(', ')}\nusage: npm run bench -- NAME… [--json]\n`);
  process.exit(2);
}

for (const name of positionals) {
  const section = SECTIONS[name];
  process.stdout.write(`${name}\n`);
  const results: Figure[] = [];
  if (section === undefined) for (const part of LISTS[name] ?? []) results.push(...(await apart(part)));
  else {
    const { bench } = await section();
    for await (const figure of bench()) {
      results.push(figure);
      process.stdout.write(`  ${show(figure)}\n`);
    }
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ bench: name, results })}\n`);
  if (results.some(({ ok }) => ok === false)) process.exitCode = 1;
}

/** Runs one section in a process of its own, and shows what it says as it says it. One that fails spares the others. */
async function apart(name: string): Promise<readonly Figure[]> {
  const child = spawn(process.execPath, [...process.execArgv, import.meta.filename, name, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close') as Promise<[code: number | null, signal: string | null]>;
  let last: { results: readonly Figure[] } | null = null;
  for await (const line of createInterface(child.stdout)) {
    if (line.startsWith('{')) last = JSON.parse(line) as { results: readonly Figure[] };
    else process.stdout.write(`  ${line}\n`);
  }
  const [code, signal] = await closed;
  if (last !== null) return last.results;
  process.exitCode = 1;
  process.stdout.write(`  ✗ ${name} ended without results (${signal ?? `exit ${code}`})\n`);
  return [];
}
