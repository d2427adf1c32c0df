/** The server's log on a disk that takes nothing, and has room again later. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { LOG_WAITING_BYTES } from '../../src/cli/limits.ts';
import { openServerLog } from '../../src/cli/server-log.ts';
import { until } from '../support/e2e.ts';
import { realComponent } from '../support/require.ts';

const LINE = 'x'.repeat(4096);

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-log-'));
  t.after(() => {
    spawnSync('umount', ['-l', path]); // where a disk was mounted
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

test('a full disk ends no server: it is said once, what is lost is counted, and with room again the log goes on', async (t) => {
  const place = folder(t);
  const disk = await realComponent(t, 'a disk of 1m (tmpfs, as root)', () => {
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place], { encoding: 'utf8' });
    if (mount.status !== 0) throw new Error(mount.error?.message ?? mount.stderr);
    return place;
  });
  if (disk === null) return;
  const said: string[] = [];
  const file = join(disk, 'holdfast.log');
  const filler = join(disk, 'filler');
  const log = await openServerLog(file, 'info', (line) => said.push(line));
  log.info({}, 'before');
  await until('it is written', async () => readFileSync(file, 'utf8').includes('before'));
  assert.throws(() => writeFileSync(filler, Buffer.alloc(2 * 1024 * 1024)), /ENOSPC/);
  const lines = (2 * LOG_WAITING_BYTES) / LINE.length;
  for (let i = 0; i < lines; i += 1) log.info({}, LINE);
  await until('it is said', async () => said.length > 0);
  for (let i = 0; i < lines; i += 1) log.info({}, LINE);
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /^the log file \S+ cannot be written, and Holdfast goes on without it: ENOSPC/);

  rmSync(filler);
  const remount = spawnSync('mount', ['-o', 'remount,size=16m', place], { encoding: 'utf8' });
  assert.equal(remount.status, 0, remount.stderr);
  log.info({}, 'after');
  const written = await until('it is written again', async () => {
    const text = readFileSync(file, 'utf8');
    return text.includes('were lost') ? text : null;
  });
  const told = written.split('\n').filter((line) => line.includes('were lost'));
  assert.equal(told.length, 1);
  const kept = written.split('\n').filter((line) => line.includes(LINE)).length;
  const { lines: lost } = JSON.parse(told[0] ?? '{}') as { lines: number };
  assert.ok(
    kept + lost === 2 * lines || kept + lost === 2 * lines + 1,
    `${kept} kept and ${lost} lost of ${2 * lines}`,
  );
});

test('a log file that cannot be opened is one sentence', async (t) => {
  const place = folder(t);
  await assert.rejects(
    openServerLog(place, 'info', () => undefined),
    /^StartError: the log file \S+ cannot be opened: EISDIR/,
  );
});
