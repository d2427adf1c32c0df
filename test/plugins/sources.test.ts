/**
 * Plugins from real git servers: what a ref means, what is fetched and what is not, and that nothing hostile comes through.
 */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  statSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { treeDigest } from '../../src/core/plugin-tree.ts';
import { DEFAULT_PLUGINS } from '../../src/core/server-file.ts';
import { openPluginSources } from '../../src/plugins/sources.ts';
import type { PluginSources, PluginTree, WantedPlugin } from '../../src/ports/plugin-source.ts';
import { TargetError } from '../../src/ports/target.ts';
import { openRepo, plain, startGitServer, writeFiles, type GitServer, type TestFile } from '../support/git-server.ts';

const POLICY = { sources: null, requirePinned: false, plainHttp: true };
const soon = (): AbortSignal => AbortSignal.timeout(60_000);

let server: GitServer;
let folder: string;
let sources: PluginSources;
const secrets = new Map([['gitea', 's3cret-of-gitea']]);

before(async () => {
  server = await startGitServer();
  folder = mkdtempSync(join(tmpdir(), 'holdfast-plugins-'));
  sources = open(join(folder, 'cache'));
});
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(cache: string, more: Partial<Parameters<typeof openPluginSources>[0]> = {}): PluginSources {
  return openPluginSources({
    folder: cache,
    settings: { ...DEFAULT_PLUGINS, gitea: server.url, github: server.url },
    policy: POLICY,
    secret: async (_fleet, name) => secrets.get(name) ?? assert.fail(`no secret ${name}`),
    ...more,
  });
}

function wanted(text: string, more: Partial<WantedPlugin> = {}): WantedPlugin {
  const [source = '', ref = null] = text.split('#');
  return { fleet: 'demo', source, ref, integrity: null, track: false, header: null, ...more };
}

async function get(text: string, more: Partial<WantedPlugin> = {}, from = sources): Promise<PluginTree> {
  return from.fetch(wanted(text, more), soon());
}

async function refusal(text: string, more: Partial<WantedPlugin> = {}, from = sources): Promise<TargetError['detail']> {
  const error = await get(text, more, from).then(
    () => assert.fail(`${text} was fetched`),
    (failed: unknown) => failed,
  );
  assert.ok(error instanceof TargetError, String(error));
  assert.equal(error.detail.fault, 'instance');
  return error.detail;
}

/** Command lines of every process of this host. */
const commands = (): readonly string[] =>
  readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
      } catch {
        return ''; // It has just ended.
      }
    });

/** A repository with one commit on main. */
function repo(name: string, files: { readonly [path: string]: TestFile }): string {
  return server.repo(`acme/${name}`).commit(files);
}

describe('a ref', () => {
  test('may be a branch, a tag, an annotated tag, or nothing, which is the default branch', async () => {
    const notes = server.repo('acme/refs');
    const one = notes.commit({ ...plain('refs'), 'a.txt': 'one' });
    notes.tag('v1', one, true);
    notes.tag('v1-light', one);
    const two = notes.commit({ ...plain('refs'), 'a.txt': 'two' });
    const three = notes.commit({ ...plain('refs'), 'a.txt': 'three' }, 'feature/x');
    for (const [ref, sha] of [
      ['#v1', one],
      ['#v1-light', one],
      ['#main', two],
      ['', two],
      ['#feature/x', three],
      ['#refs/tags/v1', one],
    ] as const) {
      const tree = await get(`gitea://acme/refs${ref}`);
      assert.equal(tree.sha, sha, ref);
      tree.release();
    }
  });

  test('L66 may be a sha, whole or its beginning, also of a commit that no branch ends at', async () => {
    const notes = server.repo('acme/shas');
    const one = notes.commit({ ...plain('shas'), 'a.txt': 'one' });
    notes.git(['update-ref', 'refs/heads/main', notes.git(['commit-tree', `${one}^{tree}`, '-p', one, '-m', 'next'])]);
    for (const ref of [one, one.slice(0, 8)]) {
      const tree = await get(`gitea://acme/shas#${ref}`);
      assert.equal(tree.sha, one);
      assert.equal(readFileSync(join(tree.folder, 'a.txt'), 'utf8'), 'one');
      tree.release();
    }
  });

  test('L66 also from a server that hands out only what a ref names, and speaks the old protocol', async () => {
    const notes = server.repo('acme/strict');
    notes.git(['config', 'protocol.version', '0']);
    notes.git(['config', 'uploadpack.allowAnySHA1InWant', 'false']);
    const one = notes.commit({ ...plain('strict') });
    notes.git(['update-ref', 'refs/heads/main', notes.git(['commit-tree', `${one}^{tree}`, '-p', one, '-m', 'next'])]);
    assert.equal((await get(`gitea://acme/strict#${one}`)).sha, one);
  });

  test('that is both a branch and a tag is refused, until it is said which', async () => {
    const both = server.repo('acme/both');
    const one = both.commit({ ...plain('both') });
    both.tag('twin', one);
    const two = both.commit({ ...plain('both'), x: 'x' }, 'twin');
    assert.match((await refusal('gitea://acme/both#twin')).message, /both a branch and a tag; say refs\/heads\/twin/);
    assert.equal((await get('gitea://acme/both#refs/heads/twin')).sha, two);
  });

  test('that does not exist is said so, and tried again', async () => {
    repo('missing', plain('missing'));
    for (const ref of ['nothing', 'abcd1234', 'a'.repeat(40)]) {
      const detail = await refusal(`gitea://acme/missing#${ref}`);
      assert.deepEqual([detail.class, detail.code], ['transient', 'no-such-ref'], detail.message);
      assert.match(detail.message, new RegExp(`acme/missing#${ref}.*${ref}`));
    }
  });

  test('force-pushed, a branch is what it is now', async () => {
    repo('forced', { ...plain('forced'), 'a.txt': 'before' });
    const before = await get('gitea://acme/forced#main');
    const sha = repo('forced', { ...plain('forced'), 'a.txt': 'after' });
    const now = await get('gitea://acme/forced#main');
    assert.equal(now.sha, sha);
    assert.equal(readFileSync(join(now.folder, 'a.txt'), 'utf8'), 'after');
    assert.equal(readFileSync(join(before.folder, 'a.txt'), 'utf8'), 'before', 'what is held stays');
    assert.equal(await sources.resolve(wanted('gitea://acme/forced#main'), soon()), sha);
  });
});

describe('a source', () => {
  test('may be a folder of the repository, by any road to it', async () => {
    const mono = server.repo('acme/mono');
    const sha = mono.commit({
      'README.md': 'many',
      'plugins/notes/plugin.json': plain('notes')['plugin.json'],
      'plugins/notes/run.sh': { program: '#!/bin/sh\n' },
      'plugins/notes/again.sh': { link: 'run.sh' },
    });
    const digests = new Set<string>();
    for (const source of [
      'gitea://acme/mono/plugins/notes',
      'github://acme/mono/plugins/notes',
      `git+http://${server.url.slice(7)}/acme/mono.git//plugins/notes`,
      `git+file://${mono.path}//plugins/notes`,
    ]) {
      const tree = await get(`${source}#main`);
      assert.deepEqual([tree.name, tree.sha], ['notes', sha]);
      assert.deepEqual(readdirSync(tree.folder).sort(), ['again.sh', 'plugin.json', 'run.sh']);
      assert.equal(statSync(join(tree.folder, 'run.sh')).mode & 0o111, 0o111);
      assert.equal(readlinkSync(join(tree.folder, 'again.sh')), 'run.sh');
      assert.equal(tree.treeDigest, treeDigest(tree.entries));
      digests.add(tree.treeDigest);
    }
    assert.equal(digests.size, 1);
    assert.match(
      (await refusal('gitea://acme/mono/plugins/nothing#main')).message,
      /there is no folder "plugins\/nothing"/,
    );
  });

  test('may be a folder of this host, whose content is its sha; `.git` is left out', async () => {
    const place = join(folder, 'by-hand');
    writeFiles(place, { ...plain('by-hand'), 'deep/er/x.txt': 'x', '.git/config': 'mine' });
    const first = await get(`file:${place}`);
    assert.deepEqual(first.entries.map(({ path }) => path).sort(), ['deep/er/x.txt', 'plugin.json']);
    assert.equal(await sources.resolve(wanted(`file:${place}`), soon()), first.sha);
    writeFiles(place, { 'deep/er/x.txt': 'y' });
    assert.notEqual((await get(`file:${place}`)).sha, first.sha);
    assert.match((await refusal(`file:${join(folder, 'nowhere')}`)).message, /cannot be read: ENOENT/);
  });

  test('that is private is fetched with its header, which is shown nowhere', async () => {
    repo('private', plain('private'));
    server.wants.set('acme/private', 'token s3cret-of-gitea');
    const without = await refusal('gitea://acme/private#main');
    assert.deepEqual([without.class, without.code], ['transient', 'fetch-failed']);
    const header = 'Authorization: token ${secret:gitea}';
    assert.equal((await get('gitea://acme/private#main', { header })).name, 'private');
    secrets.set('gitea', 'another-secret');
    const detail = await refusal('gitea://acme/private#main', { header });
    secrets.set('gitea', 's3cret-of-gitea');
    assert.ok(!JSON.stringify(detail).includes('another-secret'));
    const files = spawnSync('grep', ['-rl', 's3cret-of-gitea', join(folder, 'cache')], { encoding: 'utf8' });
    assert.equal(files.stdout, '', 'and is on no disk');
  });

  test('that is private is not given from the cache to who merely knows its sha', async () => {
    const sha = repo('vault', plain('vault'));
    server.wants.set('acme/vault', 'token s3cret-of-gitea');
    const header = 'Authorization: token ${secret:gitea}';
    await get(`gitea://acme/vault#${sha}`, { header });
    assert.equal((await refusal(`gitea://acme/vault#${sha}`)).code, 'fetch-failed');
    server.asked.splice(0);
    await get(`gitea://acme/vault#${sha}`, { header, fleet: 'other' });
    assert.notEqual(server.asked.length, 0, 'another fleet shows that it has access itself');
  });

  test('that redirects is not followed', async () => {
    repo('moved', plain('moved'));
    server.redirects.set('acme/old', 'http://127.0.0.1:9');
    assert.match((await refusal('gitea://acme/old#main')).message, /redirects are not followed/);
  });

  test('that is not allowed, or not pinned where that is asked, is refused again when it is fetched', async () => {
    const sha = repo('policy', plain('policy'));
    const policy = { sources: ['gitea://acme/**'], requirePinned: true, plainHttp: false };
    const strict = open(join(folder, 'strict'), { policy });
    assert.equal((await get(`gitea://acme/policy#${sha}`, {}, strict)).sha, sha);
    for (const [source, words] of [
      ['gitea://acme/policy#main', /must be pinned/],
      ['gitea://acmes/policy#main', /not allowed here/],
      [`git+http://${server.url.slice(7)}/acme/policy.git#${sha}`, /git\+http is not allowed/],
    ] as const) {
      const detail = await refusal(source, {}, strict);
      assert.deepEqual([detail.class, detail.code], ['terminal', 'not-allowed']);
      assert.match(detail.message, words);
    }
  });
});

describe('what is here already', () => {
  test('is not fetched: a whole sha costs no request, a branch costs the question where it is', async () => {
    const sha = repo('cached', plain('cached'));
    await get(`gitea://acme/cached#${sha}`);
    server.asked.splice(0);
    const again = await get(`gitea://acme/cached#${sha}`);
    assert.equal(server.asked.length, 0, server.asked.join());
    await get('gitea://acme/cached#main');
    assert.equal(server.asked.filter((line) => line.startsWith('GET')).length, 1);
    again.release();
    // Another process of the same folder finds it, too.
    server.asked.splice(0);
    assert.equal((await get(`gitea://acme/cached#${sha}`, {}, open(join(folder, 'cache')))).sha, sha);
    assert.equal(server.asked.length, 0, server.asked.join());
  });

  test('asked by many at once, is fetched once', async () => {
    const sha = repo('wanted', plain('wanted'));
    server.asked.splice(0);
    const all = await Promise.all(Array.from({ length: 20 }, () => get(`gitea://acme/wanted#${sha}`)));
    assert.equal(new Set(all.map((tree) => tree.folder)).size, 1);
    assert.equal(server.asked.filter((line) => line.startsWith('GET')).length, 1, server.asked.join('\n'));
  });

  test('is kept up to a bound, the longest unused going first, and never from under who holds it', async () => {
    const cache = join(folder, 'small');
    const small = open(cache, { settings: { ...DEFAULT_PLUGINS, gitea: server.url, cacheBytes: 250_000 } });
    const held = [];
    for (const name of ['big-1', 'big-2', 'big-3', 'big-4']) {
      repo(name, { ...plain(name), data: name.repeat(20_000) });
      const tree = await get(`gitea://acme/${name}#main`, {}, small);
      if (name === 'big-1') held.push(tree);
      else tree.release();
    }
    assert.equal(readdirSync(join(cache, 'trees')).length, 2);
    for (const tree of held) assert.ok(existsSync(join(tree.folder, 'data')));
    assert.deepEqual(readdirSync(join(cache, 'staging')), []);
  });

  test('joined by others, a fetch goes on until nobody waits for it', async () => {
    server.hangs.add('acme/stuck');
    const one = new AbortController();
    const two = new AbortController();
    const fetches = [one, two].map(({ signal }) =>
      sources.fetch(wanted(`gitea://acme/stuck#${'b'.repeat(40)}`), signal),
    );
    one.abort(new Error('first'));
    await assert.rejects(fetches[0]!, /first/);
    two.abort(new Error('second'));
    await assert.rejects(fetches[1]!, /second/);
    server.hangs.delete('acme/stuck');
  });
});

describe('integrity', () => {
  test('is the digest of the tree; another content is refused, for good where the sha is pinned', async () => {
    const sha = repo('sealed', plain('sealed'));
    const { treeDigest: digest } = await get('gitea://acme/sealed#main');
    assert.equal((await get('gitea://acme/sealed#main', { integrity: digest })).treeDigest, digest);
    const base64 = `sha256-${Buffer.from(digest.slice(7), 'hex').toString('base64')}`;
    assert.equal((await get('gitea://acme/sealed#main', { integrity: base64 })).treeDigest, digest);
    const integrity = `sha256:${'0'.repeat(64)}`;
    const moving = await refusal('gitea://acme/sealed#main', { integrity });
    assert.deepEqual([moving.class, moving.code], ['transient', 'integrity']);
    assert.match(moving.message, new RegExp(`it is ${digest}, and integrity says ${integrity}`));
    assert.equal((await refusal(`gitea://acme/sealed#${sha}`, { integrity })).class, 'terminal');
  });
});

describe('a hostile repository', () => {
  /** The same by its path: quicker. */
  const local = (name: string, ref = 'main'): string => `git+file://${server.repo(`acme/${name}`).path}#${ref}`;

  const json = plain('bad')['plugin.json'];
  const blob = (name: string, is = 'x'): { mode: string; name: string; is: string } => ({ mode: '100644', name, is });

  test('L67 a link out of the plugin is refused, whatever way it takes', async () => {
    for (const [at, files] of [
      { leak: { link: '/etc/passwd' } },
      { leak: { link: '../../../../etc/passwd' } },
      { 'a/leak': { link: '../../x' } },
      { hop: { link: 'deep/er' }, 'deep/er/x': 'x', leak: { link: 'hop/../../../x' } },
      { one: { link: 'two' }, two: { link: 'one' } },
      { leak: { link: 'nothing' } },
    ].entries()) {
      repo(`link-${at}`, { ...plain('bad'), ...(files as { [path: string]: TestFile }) });
      const detail = await refusal(local(`link-${at}`));
      assert.equal(detail.code, 'bad-tree');
      assert.match(detail.message, /the link "(leak|a\/leak|one)" leads/, detail.message);
    }
  });

  test('L67 nor does a folder of this host give away a file through a link', async () => {
    const place = join(folder, 'leaky');
    writeFiles(place, plain('leaky'));
    symlinkSync('/etc/passwd', join(place, 'passwd'));
    assert.match((await refusal(`file:${place}`)).message, /the link "passwd" leads out of it/);
    rmSync(join(place, 'passwd'));
    assert.equal(spawnSync('mkfifo', [join(place, 'pipe')]).status, 0);
    assert.match((await refusal(`file:${place}`)).message, /"pipe" is a device, a socket or a pipe/);
  });

  test('a path that climbs, or is none, is refused', async () => {
    for (const [at, [name, words]] of (
      [
        ['..', /leads out of its folder/],
        ['.git', /part of a repository/],
        ['.GIT', /part of a repository/],
        ['a/../../x', /leads out of its folder|no relative path/],
        ['a\nb', /characters that a path must not have/],
        ['a\\b', /characters that a path must not have/],
        ['x'.repeat(201), /more than 200 bytes/],
      ] as const
    ).entries()) {
      const bad = server.repo(`acme/path-${at}`);
      const inner = name === '..' || name.toLowerCase() === '.git';
      bad.raw([inner ? { mode: '40000', name, is: [blob('x')] } : blob(name), blob('plugin.json', json)]);
      const detail = await refusal(local(`path-${at}`));
      assert.match(detail.message, words, name);
    }
  });

  test('names that are one where case or Unicode form do not count are refused', async () => {
    for (const [at, [one, two]] of (
      [
        ['caf\u00e9', 'cafe\u0301'],
        ['README', 'readme'],
        ['\ufb01le', 'file'],
        ['plugin.json', 'Plugin.json'],
      ] as const
    ).entries()) {
      server
        .repo(`acme/twins-${at}`)
        .raw([blob(one, json), blob(two, json), ...(at < 3 ? [blob('plugin.json', json)] : [])]);
      assert.match((await refusal(local(`twins-${at}`))).message, /are one where case or Unicode form/);
    }
    server.repo('acme/twins-x').raw([
      { mode: '120000', name: 'a', is: '.' },
      { mode: '40000', name: 'a', is: [blob('x')] },
    ]);
    assert.match((await refusal(local('twins-x'))).message, /are one where/);
    server.repo('acme/bytes').raw([{ mode: '100644', name: Buffer.from([0xff, 0xfe]), is: 'x' }]);
    assert.match((await refusal(local('bytes'))).message, /characters that a path must not have/);
  });

  test('too much of anything is refused before it is written: files, bytes, submodules', async () => {
    const huge = server.repo('acme/huge');
    const empty = huge.git(['hash-object', '-w', '--stdin'], '');
    const lines = Array.from({ length: 100_000 }, (_, at) => `100644 blob ${empty}\tf${at}`);
    const tree = huge.git(['mktree'], `${lines.join('\n')}\n`);
    huge.git(['update-ref', 'refs/heads/main', huge.git(['commit-tree', tree, '-m', 'many'])]);
    assert.match((await refusal(local('huge'))).message, /more than 10000 files/);

    const bomb = server.repo('acme/bomb');
    const zeros = bomb.git(['hash-object', '-w', '--stdin'], Buffer.alloc(20 * 1024 * 1024));
    const four = bomb.git(['mktree'], [1, 2, 3, 4].map((n) => `100644 blob ${zeros}\tf${n}\n`).join(''));
    bomb.git(['update-ref', 'refs/heads/main', bomb.git(['commit-tree', four, '-m', 'large'])]);
    assert.match((await refusal(local('bomb'))).message, /more than 64 MiB/);

    repo('submodule', { ...plain('bad'), vendor: { submodule: true } });
    assert.match((await refusal(local('submodule'))).message, /"vendor" is a submodule/);
    assert.deepEqual(readdirSync(join(folder, 'cache/staging')), [], 'and nothing is left of it');
  });

  test('a tree of trees that unfolds without end is given up at the bound', async () => {
    const bomb = server.repo('acme/unfolding');
    let tree = bomb.git(['mktree'], `100644 blob ${bomb.git(['hash-object', '-w', '--stdin'], 'x')}\tx\n`);
    for (let level = 0; level < 30; level += 1)
      tree = bomb.git(['mktree'], [0, 1, 2, 3, 4, 5, 6, 7].map((n) => `040000 tree ${tree}\td${n}\n`).join(''));
    bomb.git(['update-ref', 'refs/heads/main', bomb.git(['commit-tree', tree, '-m', 'unfolds'])]);
    assert.match((await refusal(local('unfolding'))).message, /more than 10000 files/);
  });

  test('no hook, filter or program of it is executed', async () => {
    const sly = server.repo('acme/sly');
    const witness = join(folder, 'executed');
    sly.commit({
      ...plain('sly'),
      '.gitattributes': '* filter=evil diff=evil merge=evil text eol=crlf\n',
      '.lfsconfig': '[lfs]\n\turl = http://127.0.0.1:9\n',
      'a.txt': 'one\ntwo\n',
      'hooks/post-checkout': { program: `#!/bin/sh\ntouch ${witness}\n` },
    });
    for (const key of ['core.fsmonitor', 'filter.evil.smudge', 'core.sshCommand', 'uploadpack.packObjectsHook'])
      sly.git(['config', key, `touch ${witness}`]);
    for (const source of ['gitea://acme/sly', `git+file://${sly.path}`]) {
      const tree = await get(`${source}#main`);
      assert.equal(
        readFileSync(join(tree.folder, 'a.txt'), 'utf8'),
        'one\ntwo\n',
        'and its bytes are as they were committed',
      );
    }
    assert.ok(!existsSync(witness));
  });

  test('one that is gone, not there, or no repository is a failure in words, to be tried again', async () => {
    rmSync(server.repo('acme/gone').path, { recursive: true });
    writeFiles(join(folder, 'no-repo'), { x: 'x' });
    for (const source of [
      'gitea://acme/gone',
      `git+file://${join(folder, 'no-repo')}`,
      'git+http://127.0.0.1:9/x/y.git',
    ]) {
      const detail = await refusal(`${source}#main`);
      assert.deepEqual([detail.class, detail.code], ['transient', 'fetch-failed']);
      assert.match(detail.message, /cannot be fetched from /);
    }
  });

  test('one that never answers is given up, and its git with it', async () => {
    server.hangs.add('acme/slow');
    const within = AbortSignal.timeout(500);
    await assert.rejects(sources.fetch(wanted('gitea://acme/slow#main'), within), /aborted|timeout/i);
    server.hangs.delete('acme/slow');
    for (let tries = 0; commands().some((line) => line.includes('acme/slow.git')); tries += 1) {
      assert.ok(tries < 500, 'its git still runs');
      await pause(20);
    }
  });

  test('one whose plugin.json is missing, a link, too large or wrong is refused, naming the field', async () => {
    for (const [at, [files, words]] of (
      [
        [{ x: 'x' }, /no plugin\.json at its top/],
        [{ 'plugin.json': { link: 'x' }, x: json }, /plugin\.json is a link/],
        [{ 'plugin.json': `${json}${' '.repeat(70_000)}` }, /larger than 64 KiB/],
        [{ 'plugin.json': '{' }, /plugin\.json is no JSON/],
        [{ 'plugin.json': '[]' }, /must hold an object/],
        [{ 'plugin.json': '{"version":"1"}' }, /plugin\.json: name must be/],
        [{ 'plugin.json': '{"name":"../x","version":"1"}' }, /plugin\.json: name must be/],
        [{ 'plugin.json': '{"name":"x"}' }, /plugin\.json: version must be/],
        [
          { 'plugin.json': '{"name":"x","version":"1","restart":"yes"}' },
          /plugin\.json: restart must be true or false/,
        ],
        [{ 'plugin.json': '{"name":"x","version":"1","needs":"y"}' }, /plugin\.json: needs must be a list/],
        [{ 'plugin.json': '{"name":"x","version":"1","needs":["y","A"]}' }, /plugin\.json: needs\[1\] must be/],
        [{ 'plugin.json': '{"name":"x","version":"1","needs":["x"]}' }, /plugin\.json: needs must not name/],
      ] as const
    ).entries()) {
      const sha = repo(`manifest-${at}`, files);
      const detail = await refusal(local(`manifest-${at}`));
      assert.deepEqual([detail.class, detail.code], ['transient', 'bad-plugin']);
      assert.match(detail.message, words);
      assert.equal((await refusal(local(`manifest-${at}`, sha))).class, 'terminal', 'a pinned one stays what it is');
    }
  });
});

test('a repository of another user on this host can be read', async (t) => {
  if (process.getuid?.() !== 0) {
    t.skip('only root can give a folder to another user');
    return;
  }
  const other = openRepo(join(folder, 'others.git'));
  other.commit(plain('others'));
  assert.equal(spawnSync('chown', ['-R', '12345:12345', other.path]).status, 0);
  assert.equal((await get(`git+file://${other.path}#main`)).name, 'others');
});
