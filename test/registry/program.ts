/** An agent for these tests: a real process with the real client, in a world of `test/support/e2e`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Answer, Plane, World } from '../support/e2e.ts';

const CLIENT = fileURLToPath(new URL('../../src/agent/index.ts', import.meta.url));

/**
 * `node beats.mjs [late=MS] [busy] [health]`. It leaves its token in `<instance>.token`. SIGUSR2 makes it say no more, though
 * it runs on; SIGHUP begins or ends a task without progress.
 */
const PROGRAM = `
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import { startAgent } from ${JSON.stringify(CLIENT)};
const option = (name) => process.argv.find((arg) => arg === name || arg.startsWith(name + '='))?.split('=')[1] ?? (process.argv.includes(name) ? '' : undefined);
const { HOLDFAST_INSTANCE: name, HOLDFAST_INSTANCE_TOKEN: token } = process.env;
writeFileSync(name + '.token', token ?? '');
const agent = () => startAgent({ version: '1.0' });
let client = null;
let finish = null;
const toggle = () => {
  if (finish !== null) { finish(); finish = null; }
  else client.work(() => new Promise((resolve) => { finish = resolve; }));
};
process.on('SIGUSR2', () => client?.stop());
process.on('SIGHUP', toggle);
process.on('SIGTERM', () => process.exit(0));
const port = option('health');
if (port !== undefined) createServer((_, response) => response.end('ok')).listen(Number(port), '127.0.0.1');
setTimeout(() => { client = agent(); if (option('busy') !== undefined) toggle(); }, Number(option('late') ?? 0));
console.log(name + ' is up, pid ' + process.pid);
setInterval(() => undefined, 60_000);
`;

export interface Program {
  /** The `run` of an instance. */
  run(...options: readonly string[]): { command: string[]; cwd: string };
  /** The token that the instance found in its environment when it last started. */
  token(name: string): string;
}

export function writeProgram(world: World): Program {
  const file = join(world.folder, 'beats.mjs');
  writeFileSync(file, PROGRAM);
  return {
    run: (...options) => ({
      command: [process.execPath, '--disable-warning=ExperimentalWarning', file, ...options],
      cwd: world.folder,
    }),
    token: (name) => readFileSync(join(world.folder, `${name}.token`), 'utf8'),
  };
}

export const beat = (
  plane: Plane,
  token: string,
  body?: object,
): Promise<Answer<{ ok: boolean; desired: string; nextSeconds: number }>> =>
  plane.ask('POST', '/v1/heartbeat', { token, ...(body === undefined ? {} : { body: body as never }) });
