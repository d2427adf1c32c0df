/**
 * Boxes of plugins on this host, where it hurts: killed in the midst of an install, on a full disk, with an agent that writes
 * into its plugins, and two plugins of one name.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { InstalledPlugin } from '../../src/core/model.ts';
import type { PluginTree } from '../../src/ports/plugin-source.ts';
import { TargetError, type PluginAbility, type Subject, type Target } from '../../src/ports/target.ts';
import { openProcessTarget } from '../../src/targets/process/target.ts';
import { pluginTree, type TreeAsk } from '../support/plugin-trees.ts';
import { realComponent } from '../support/require.ts';
import { plugin, spec } from '../support/specs.ts';

const TARGET_CODE = new URL('../../src/targets/process/target.ts', import.meta.url).href;
const soon = (): AbortSignal => AbortSignal.timeout(60_000);

const folders: string[] = [];
const trees: PluginTree[] = [];
after(() => {
  for (const tree of trees) tree.release();
  for (const folder of folders) {
    spawnSync('umount', [folder]);
    fs.rmSync(folder, { recursive: true, force: true });
  }
});

function newFolder(): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'holdfast-box-'));
  folders.push(folder);
  return folder;
}

function tree(name: string, ask: TreeAsk = {}): PluginTree {
  const made = pluginTree(name, ask);
  trees.push(made);
  return made;
}

function agent(...sources: readonly string[]): Subject {
  const declared = spec({ target: 'process', targetType: 'process', plugins: sources.map((source) => plugin(source)) });
  const { uid, generation, infraHash } = { uid: 'u-1', generation: 1, infraHash: '1:a' };
  return { fleet: 'demo', instance: 'agent', uid, generation, spec: declared, infraHash, configHash: null, env: {} };
}

function open(dataDir: string): { target: Target; box: PluginAbility; current: string } {
  const target = openProcessTarget({ deployment: 'd', dataDir, name: 'process' });
  assert.ok(target.plugins);
  return { target, box: target.plugins, current: join(dataDir, 'processes/process/demo/agent.u-1.plugins/current') };
}

const refs = (installed: readonly InstalledPlugin[]): readonly (string | null)[] => installed.map(({ ref }) => ref);

async function failure(work: Promise<unknown>): Promise<TargetError['detail']> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof TargetError, String(error));
  return error.detail;
}

test('kill -9 in the midst of installs leaves one version or the other, whole, and the next install finds its way', async () => {
  const dataDir = newFolder();
  const files = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`f${at}`, `${at}`]));
  const versions = ['v1', 'v2'].map((ref) => tree('notes', { ref, files: { ...files, version: ref } }));
  const { box, current } = open(dataDir);
  await box.install(agent(), versions[0]!, soon());
  const code = `
    import { openProcessTarget } from '${TARGET_CODE}';
    const { dataDir, subject, versions } = JSON.parse(process.argv[1]);
    const { plugins } = openProcessTarget({ deployment: 'd', dataDir, name: 'process' });
    const signal = AbortSignal.timeout(60_000);
    process.stdout.write('ready');
    for (let at = 1; ; at += 1) await plugins.install(subject, versions[at % 2], signal);`;
  for (let kills = 0; kills < 4; kills += 1) {
    const told = JSON.stringify({ dataDir, subject: agent(), versions });
    const child = spawn(process.execPath, ['--input-type=module', '-e', code, told], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    // Anywhere in an install, another place each time.
    await new Promise((resolve) => setTimeout(resolve, 10 * kills));
    child.kill('SIGKILL');
    await once(child, 'exit');
    const installed = await open(dataDir).box.installed(agent(), soon());
    assert.equal(installed.length, 1);
    assert.equal(fs.readFileSync(join(current, 'notes/version'), 'utf8'), installed[0]?.ref);
    assert.equal(fs.readdirSync(join(current, 'notes')).length, 202);
  }
  await box.install(agent(), versions[1]!, soon());
  assert.deepEqual(refs(await box.installed(agent(), soon())), ['v2']);
  assert.equal(fs.readdirSync(join(current, '../.sets')).length, 1, 'nothing of it is left over');
});

test('on a full disk an install fails in words, and the version before it stays whole', async (t) => {
  const dataDir = newFolder();
  const disk = await realComponent(t, 'a small disk (tmpfs, as root)', () => {
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', dataDir], { encoding: 'utf8' });
    if (mount.status !== 0) throw new Error(mount.error?.message ?? mount.stderr);
    return dataDir;
  });
  if (disk === null) return;
  const { box, current } = open(disk);
  const one = tree('notes', { ref: 'v1', files: { big: 'a'.repeat(700_000) } });
  await box.install(agent(), one, soon());
  const two = tree('notes', { ref: 'v2', files: { big: 'b'.repeat(1_600_000) } });
  const detail = await failure(box.install(agent(), two, soon()));
  assert.deepEqual([detail.class, detail.fault, detail.code], ['transient', 'instance', 'disk-full']);
  assert.match(detail.message, /free some space/);
  assert.deepEqual(refs(await box.installed(agent(), soon())), ['v1']);
  assert.equal(fs.readFileSync(join(current, 'notes/big'), 'utf8').length, 700_000);

  // Every block and every inode taken: not even the swap has room.
  fs.rmSync(join(current, '../.trees/1'), { recursive: true, force: true });
  const small = tree('notes', { ref: 'v3' });
  const filler = fs.openSync(join(disk, 'filler'), 'w');
  assert.throws(() => {
    for (;;) fs.writeSync(filler, 'x'.repeat(4_096));
  }, /ENOSPC/);
  fs.closeSync(filler);
  assert.equal((await failure(box.install(agent(), small, soon()))).code, 'disk-full');
  assert.deepEqual(refs(await box.installed(agent(), soon())), ['v1']);
  fs.rmSync(join(disk, 'filler'));
  await box.install(agent(), small, soon());
  assert.deepEqual(refs(await box.installed(agent(), soon())), ['v3']);
});

test('what an agent writes beside and into its plugins is no difference, what it changes is', async () => {
  const { box, current } = open(newFolder());
  const notes = tree('notes', { files: { 'a.py': 'x', 'run.sh': { program: 'x' }, again: { link: 'a.py' } } });
  await box.install(agent(), notes, soon());
  fs.mkdirSync(join(current, 'notes/__pycache__'));
  fs.writeFileSync(join(current, 'notes/__pycache__/a.pyc'), 'compiled');
  fs.writeFileSync(join(current, '../mine.txt'), 'mine');
  assert.equal((await box.installed(agent(), soon())).length, 1);
  for (const [what, harm] of [
    ['removed', () => fs.rmSync(join(current, 'notes/a.py'))],
    ['changed', () => fs.writeFileSync(join(current, 'notes/a.py'), 'y')],
    ['no program any more', () => fs.chmodSync(join(current, 'notes/run.sh'), 0o644)],
    [
      'led elsewhere',
      () => (fs.rmSync(join(current, 'notes/again')), fs.symlinkSync('run.sh', join(current, 'notes/again'))),
    ],
    ['unlinked', () => fs.rmSync(join(current, 'notes'))],
    ['all gone', () => fs.rmSync(join(current, '..'), { recursive: true })],
  ] as const) {
    harm();
    assert.deepEqual(await box.installed(agent(), soon()), [], what);
    await box.install(agent(), notes, soon());
    assert.equal((await box.installed(agent(), soon())).length, 1, what);
  }
  fs.writeFileSync(join(current, '../mine.txt'), 'mine');
  await box.uninstall(agent(), notes.source, soon());
  assert.deepEqual(fs.readdirSync(current), ['plugins.json']);
  assert.equal(fs.readFileSync(join(current, '../mine.txt'), 'utf8'), 'mine');
});

test('a second plugin of one name is refused while the first is declared, and takes its place once it is not', async () => {
  const { box } = open(newFolder());
  const one = tree('notes', { source: 'gitea://a/notes' });
  const two = tree('notes', { source: 'github://b/notes' });
  await box.install(agent(one.source, two.source), one, soon());
  const detail = await failure(box.install(agent(one.source, two.source), two, soon()));
  assert.equal(detail.code, 'name-taken');
  assert.match(detail.message, /github:\/\/b\/notes is called "notes", and so is gitea:\/\/a\/notes/);
  await box.install(agent(two.source), two, soon());
  await box.uninstall(agent(two.source), one.source, soon());
  assert.deepEqual(
    (await box.installed(agent(), soon())).map(({ source }) => source),
    [two.source],
  );
});

test('a plugin that needs another waits for it', async () => {
  const { box } = open(newFolder());
  const notes = tree('notes', { needs: ['search'] });
  const detail = await failure(box.install(agent(), notes, soon()));
  assert.deepEqual([detail.class, detail.code], ['transient', 'needs']);
  assert.match(detail.message, /needs "search" beside it/);
  await box.install(agent(), tree('search'), soon());
  await box.install(agent(), notes, soon());
  assert.equal((await box.installed(agent(), soon())).length, 2);
});

test('a tree that is not what it says is read back as what it is, and never comes into force', async () => {
  const { box } = open(newFolder());
  const good = tree('notes', { ref: 'v1' });
  await box.install(agent(), good, soon());
  const bad = tree('notes', { ref: 'v2', files: { x: 'x' } });
  fs.writeFileSync(join(bad.folder, 'x'), 'y');
  assert.equal((await failure(box.install(agent(), bad, soon()))).code, 'read-back');
  const gone = tree('notes', { ref: 'v3' });
  gone.release();
  assert.equal((await failure(box.install(agent(), gone, soon()))).code, 'plugin-files');
  assert.deepEqual(refs(await box.installed(agent(), soon())), ['v1']);
});
