/**
 * `npm run bench -- NAME… [--json]`: each figure beside its goal and its peer, measured in the same run. Never a test: what
 * a machine can do today is not what a program must do.
 */
import { parseArgs } from 'node:util';
import type { Bench, Figure } from './figure.ts';
import { show } from './figure.ts';

const BENCHES: { readonly [name: string]: () => Promise<Bench> } = {
  core: async () => (await import('./core.ts')).bench,
};

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean', default: false } } });
const unknown = positionals.filter((name) => !(name in BENCHES));
if (unknown.length > 0 || positionals.length === 0) {
  const lead = unknown.length > 0 ? `no benchmark is called ${unknown.join(', ')}; ` : '';
  process.stderr.write(`${lead}there are: ${Object.keys(BENCHES).join(', ')}\nusage: npm run bench -- NAME… [--json]\n`);
  process.exit(2);
}

let missed = 0;
for (const name of positionals) {
  const bench = await (BENCHES[name] as () => Promise<Bench>)();
  process.stdout.write(`${name}\n`);
  const results: Figure[] = [];
  for await (const figure of bench()) {
    results.push(figure);
    process.stdout.write(`  ${show(figure)}\n`);
    if (figure.ok === false) missed += 1;
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ bench: name, results })}\n`);
}
process.exitCode = missed === 0 ? 0 : 1;
