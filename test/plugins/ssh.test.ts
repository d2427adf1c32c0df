/**
 * Plugins over ssh, from a real sshd: with the key that the server file names, and only from a server that is known.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { DEFAULT_PLUGINS } from '../../src/core/server-file.ts';
import { openPluginSources } from '../../src/plugins/sources.ts';
import type { PluginTree } from '../../src/ports/plugin-source.ts';
import { TargetError } from '../../src/ports/target.ts';
import { until } from '../support/e2e.ts';
import { openRepo, plain } from '../support/git-server.ts';
import { realComponent } from '../support/require.ts';

const SSHD = '/usr/sbin/sshd';
const SSH_KEYGEN = 'ssh-keygen';

describe('a plugin over ssh', () => {
  let folder: string;
  let daemon: ChildProcess | null = null;
  let port = 0;
  let said = '';
  let trouble: string | null = null;

  before(async () => {
    // With a space, as folders may have.
    folder = mkdtempSync(join(tmpdir(), 'holdfast ssh-'));
    port = await freePort();
    trouble = await start().then(
      () => null,
      (error: unknown) => String(error),
    );
  });
  after(async () => {
    if (daemon !== null && daemon.exitCode === null) {
      daemon.kill('SIGTERM');
      await once(daemon, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  });

  const file = (name: string): string => join(folder, name);

  async function start(): Promise<void> {
    if (!existsSync(SSHD)) throw new Error(`there is no ${SSHD}`);
    for (const name of ['host', 'key', 'stranger', 'other-host']) {
      const { status, stderr } = spawnSync(SSH_KEYGEN, ['-q', '-t', 'ed25519', '-N', '', '-f', file(name)], {
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`ssh-keygen: ${stderr}`);
    }
    writeFileSync(file('authorized'), readFileSync(file('key.pub')));
    const line = (name: string): string => `[127.0.0.1]:${port} ${readFileSync(file(`${name}.pub`), 'utf8')}`;
    writeFileSync(file('known'), line('host'));
    writeFileSync(file('known-otherwise'), line('other-host'));
    writeFileSync(file('known-nobody'), '');
    writeFileSync(
      file('sshd_config'),
      `ListenAddress 127.0.0.1:${port}
HostKey "${file('host')}"
AuthorizedKeysFile "${file('authorized')}"
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
`,
    );
    // Where sshd separates its privileges; it must be there, and is not where the service never ran.
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    daemon = spawn(SSHD, ['-D', '-e', '-f', file('sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] });
    daemon.on('error', (error) => (said += String(error)));
    daemon.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
    await until('sshd answers', async () => {
      if (daemon?.exitCode !== null || daemon.pid === undefined) throw new Error(`${SSHD} ended: ${said}`);
      return answers(port);
    });
  }

  /** False: skipped. */
  const there = async (t: TestContext): Promise<boolean> =>
    (await realComponent(t, 'sshd (Debian: openssh-server)', () => {
      if (trouble !== null) throw new Error(trouble);
      return true;
    })) !== null;

  let opened = 0;
  function fetched(source: string, ref: string | null, files: { key: string; known: string }): Promise<PluginTree> {
    const settings = { ...DEFAULT_PLUGINS, sshKey: file(files.key), sshKnownHosts: file(files.known) };
    const policy = { sources: ['git+ssh'], requirePinned: false, plainHttp: false };
    const sources = openPluginSources({
      folder: file(`cache-${(opened += 1)}`),
      settings,
      policy,
      secret: () => assert.fail('no secret is declared'),
    });
    const wanted = { fleet: 'demo', source, ref, integrity: null, track: false, header: null };
    return sources.fetch(wanted, AbortSignal.timeout(60_000));
  }
  const sourceOf = (repo: string): string => `git+ssh://${userInfo().username}@127.0.0.1:${port}${repo}`;

  async function refusal(work: Promise<PluginTree>): Promise<TargetError['detail']> {
    const error = await work.then(
      () => assert.fail('it was fetched'),
      (failed: unknown) => failed,
    );
    assert.ok(error instanceof TargetError, String(error));
    assert.deepEqual([error.detail.class, error.detail.fault], ['transient', 'instance']);
    return error.detail;
  }

  /** Its path must have no space: an address cannot have one. */
  function notes(t: TestContext): { path: string; one: string; two: string } {
    const place = mkdtempSync(join(tmpdir(), 'holdfast-ssh-repo-'));
    t.after(() => rmSync(place, { recursive: true, force: true }));
    const repo = openRepo(join(place, 'notes.git'));
    const one = repo.commit({ ...plain('notes'), 'a.txt': 'one' });
    repo.tag('v1', one);
    return {
      path: repo.path,
      one,
      two: repo.commit({ ...plain('notes'), 'sub/plugin.json': '{"name":"sub","version":"1"}' }),
    };
  }

  test('comes with the key of the server file, from a server that is known: branch, tag, sha and folder', async (t) => {
    if (!(await there(t))) return;
    const { path, one, two } = notes(t);
    for (const [source, ref, sha] of [
      [sourceOf(path), 'v1', one],
      [sourceOf(path), null, two],
      [sourceOf(path), one.slice(0, 9), one],
      [`${sourceOf(path)}//sub`, 'main', two],
    ] as const) {
      const tree = await fetched(source, ref, { key: 'key', known: 'known' });
      assert.equal(tree.sha, sha);
      tree.release();
    }
  });

  test('is refused from a server that is not known, or that has another key than it should', async (t) => {
    if (!(await there(t))) return;
    const { path } = notes(t);
    const before = said.split('Accepted publickey').length;
    const unknown = await refusal(fetched(sourceOf(path), 'v1', { key: 'key', known: 'known-nobody' }));
    assert.match(unknown.message, /Host key verification failed/);
    const changed = await refusal(fetched(sourceOf(path), 'v1', { key: 'key', known: 'known-otherwise' }));
    assert.match(changed.message, /Host key verification failed/);
    assert.equal(said.split('Accepted publickey').length, before, 'nothing was offered to it');
    assert.equal(readFileSync(file('known-nobody'), 'utf8'), '', 'nor is it known from now on');
  });

  test('is refused to who has no right to it, with no other key tried', async (t) => {
    if (!(await there(t))) return;
    const { path } = notes(t);
    const { message } = await refusal(fetched(sourceOf(path), 'v1', { key: 'stranger', known: 'known' }));
    assert.match(message, /Permission denied \(publickey\)/);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
