/** A log is exported by a server, and looked at by commands that have none. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createApp, listen } from '../../src/http/server.ts';
import { FLEET, Stage } from '../runtime/stage.ts';
import { cli, temporaryFolder } from './support/cli.ts';

test('a log that was exported tells in every looking command what the server tells, and does nothing', async () => {
  using folder = temporaryFolder();
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  stage.target.exits('a');
  await stage.pass(30_000);
  const { token } = await stage.control.createToken({ name: 'r', scope: 'read', fleets: null, expiresInMs: null });
  const server = await listen(createApp(stage.control), { host: '127.0.0.1', port: 0 });
  const env = { HOLDFAST_URL: server.url, HOLDFAST_TOKEN: token };
  try {
    const exported = await cli('export-log fleet.jsonl', { env, cwd: folder.path });
    assert.equal(exported.code, 0, exported.err);
    const cwd = folder.path;
    for (const command of ['why a', 'history a --since 2030h', 'events --after 0', 'get', 'dry-run', 'manifest']) {
      const there = await cli(`${command} -o json`, { env });
      const here = await cli(`--log fleet.jsonl ${command} -o json`, { cwd });
      assert.deepEqual([here.code, here.err], [there.code, there.err], command);
      if (command === 'why a') assert.deepEqual(steady(here.out), steady(there.out));
      if (command.startsWith('history'))
        assert.deepEqual(seqs(here.out), seqs(there.out), 'one that was left out is missed');
    }
    const verified = await cli('verify', { env: { HOLDFAST_LOG: 'fleet.jsonl' }, cwd });
    assert.match(verified.out, /Every decision is as it was recorded/);
    const imported = await cli('import-log fleet.jsonl', { cwd });
    assert.match(imported.out, new RegExp(`Fleet ${FLEET}, exported .*At its end: 2 RUNNING`, 's'));
    for (const command of ['restart a', 'release', 'delete a', 'logs a', 'events -f']) {
      const { code, err } = await cli(`--log fleet.jsonl ${command}`, { cwd });
      assert.equal(code, 2, command);
      assert.match(err, /exported log|Ctrl-C/, command);
    }
  } finally {
    await server.close();
  }
});

const seqs = (json: string): readonly number[] =>
  (JSON.parse(json) as { items: { seq: number }[] }).items.map(({ seq }) => seq);

/** Without what only a living fleet has. */
function steady(json: string): unknown {
  const { nextLookAt: _at, facts, ...rest } = JSON.parse(json) as { nextLookAt: unknown; facts: object[] };
  return { ...rest, facts: facts.map((fact) => ({ ...fact, ageMs: 0 })) };
}

test('a file that is no exported log is refused in words, by whichever command reads it', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'notes.txt'), 'hello\n');
  for (const command of ['import-log notes.txt', '--log notes.txt why a']) {
    const { code, err } = await cli(command, { cwd: folder.path });
    assert.equal(code, 2);
    assert.match(err, /notes\.txt cannot be looked at: line 1 is not JSON/);
  }
  const { err } = await cli('--log nowhere.jsonl get', { cwd: folder.path });
  assert.match(err, /nowhere\.jsonl cannot be read/);
});

test('an export that breaks off leaves no file behind', async () => {
  using folder = temporaryFolder();
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  const { token } = await stage.control.createToken({ name: 'r', scope: 'read', fleets: null, expiresInMs: null });
  const broken = async function* lines(): AsyncGenerator<string> {
    yield '{"holdfast":"log"}\n';
    throw new Error('the disk is gone');
  };
  const control = { ...stage.control, exportLog: () => Promise.resolve(broken()) };
  const server = await listen(createApp(control), { host: '127.0.0.1', port: 0 });
  try {
    const env = { HOLDFAST_URL: server.url, HOLDFAST_TOKEN: token };
    const { code } = await cli('export-log fleet.jsonl', { env, cwd: folder.path });
    assert.equal(code, 2);
    assert.throws(() => readFileSync(join(folder.path, 'fleet.jsonl')), /ENOENT/);
    assert.throws(() => readFileSync(join(folder.path, 'fleet.jsonl.part')), /ENOENT/);
  } finally {
    await server.close();
  }
});
