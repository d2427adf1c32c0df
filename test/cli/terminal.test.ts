/** A terminal that is closed under a server: what it says then is heard by nobody, and ends nothing. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../support/e2e.ts';
import { realComponent } from '../support/require.ts';

const IO = fileURLToPath(new URL('../../src/cli/io.ts', import.meta.url));

/** Says that it is there, waits until its terminal is gone, speaks into the void, and says where it can be read that it lives. */
const SPEAKER = `
import { existsSync, writeFileSync } from 'node:fs';
import { processIo } from ${JSON.stringify(IO)};
processIo();
process.on('SIGHUP', () => undefined);
const folder = process.argv[2];
writeFileSync(folder + '/up', '');
const waiting = setInterval(() => {
  if (!existsSync(folder + '/gone')) return;
  clearInterval(waiting);
  process.stdout.write('is anybody there?\\n', (error) => {
    setTimeout(() => writeFileSync(folder + '/lives', String(error?.code)), 100);
  });
}, 20);
`;

test('a server outlives its terminal', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-terminal-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const there = await realComponent(t, 'a terminal (script of util-linux)', () => {
    const asked = spawnSync('script', ['--version'], { encoding: 'utf8' });
    if (!asked.stdout?.includes('util-linux')) throw new Error(asked.error?.message ?? asked.stdout);
    return true;
  });
  if (there === null) return;
  const file = join(folder, 'speaker.ts');
  writeFileSync(file, SPEAKER);
  const command = `exec ${process.execPath} --disable-warning=ExperimentalWarning ${file} ${folder}`;
  const terminal = spawn('script', ['--quiet', '--command', command, '/dev/null'], { stdio: 'ignore' });
  await until('it is up', async () => existsSync(join(folder, 'up')));
  terminal.kill('SIGKILL');
  await until('the terminal is gone', async () => terminal.signalCode !== null);
  writeFileSync(join(folder, 'gone'), '');
  await until('it lives on', async () => existsSync(join(folder, 'lives')));
  assert.equal(terminal.signalCode, 'SIGKILL');
});
