/**
 * Plugins end to end: a real server, real agents that beat over HTTP, a real git server. An agent finds its plugins at its first
 * start, says so itself, and keeps them whatever becomes of it or of us.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { InstanceView } from '../../src/runtime/api.ts';
import { openWorld, pidOf, send, until, type Fleet, type Plane, type World } from '../support/e2e.ts';
import { plain, startGitServer, type GitServer } from '../support/git-server.ts';

/** Beats as soon as it is up, and says in its version what it found of its plugins. */
const AGENT = `
import { existsSync, readFileSync, readdirSync } from 'node:fs';
const { HOLDFAST_URL, HOLDFAST_INSTANCE_TOKEN, HOLDFAST_PLUGINS } = process.env;
const version = (file) => (existsSync(file) ? JSON.parse(readFileSync(file)).version : 'none');
const found = () => existsSync(HOLDFAST_PLUGINS)
  ? readdirSync(HOLDFAST_PLUGINS).filter((name) => !name.includes('.')).map((name) => name + '@' + version(HOLDFAST_PLUGINS + '/' + name + '/plugin.json')).join()
  : 'none';
const atStart = found();
const beat = () => fetch(HOLDFAST_URL + '/v1/heartbeat', {
  method: 'POST',
  headers: { authorization: 'Bearer ' + HOLDFAST_INSTANCE_TOKEN, 'content-type': 'application/json' },
  body: JSON.stringify({ status: 'ready', version: atStart }),
}).catch(() => undefined);
await beat();
setInterval(beat, 500);
`;

const HEART = { every: '1s', silentAfter: '30s', startGrace: '60s' };

describe('plugins of a process', () => {
  let world: World;
  let git: GitServer;
  let plane: Plane;
  let fleet: Fleet;
  let agent: readonly string[];
  let first: string;

  const settled = (view: InstanceView): boolean =>
    view.phase === 'RUNNING' &&
    view.conditions.some(({ type, status }) => type === 'PluginsInstalled' && status === 'true') &&
    view.plugins.every(({ state }) => state === 'installed');
  const shas = (view: InstanceView): readonly unknown[] => view.plugins.map(({ ref, sha }) => [ref, sha]);

  before(async () => {
    world = await openWorld();
    git = await startGitServer();
    const file = join(world.folder, 'beating.mjs');
    writeFileSync(file, AGENT);
    agent = [process.execPath, file];
    const data = join(world.folder, 'data');
    mkdirSync(data);
    writeFileSync(join(data, 'holdfast.yaml'), `plugins: { gitea: "${git.url}", trackEvery: 1s }\n`);
    const notes = git.repo('acme/notes');
    first = notes.commit({ ...plain('notes', { restart: true }), 'notes.txt': 'one' });
    notes.tag('v1', first);
    plane = await world.up({ data });
    fleet = plane.fleet('demo');
  });
  after(async () => {
    await world.close();
    await git.close();
  });

  const ownLog = (): string => readFileSync(join(plane.data, 'holdfast.log'), 'utf8');
  const declare = (...plugins: readonly (string | { readonly [key: string]: string | boolean })[]): Promise<unknown> =>
    fleet.declare({
      instances: {
        scribe: { target: 'process', run: { command: [...agent] }, heartbeat: HEART, plugins: [...plugins] },
      },
    });

  test('L14 a fresh instance whose very first sign of life is a heartbeat has them at its first start', async () => {
    await declare('gitea://acme/notes#v1');
    const view = await fleet.until('scribe', 'it runs with its plugin', settled);
    assert.deepEqual(shas(view), [['v1', first]]);
    const heard = await fleet.until('scribe', 'it said what it found', ({ heartbeat }) => heartbeat?.version != null);
    assert.equal(heard.heartbeat?.version, 'notes@1.0.0', 'before its first start');
    assert.equal(view.restarts.planned, 0);
    const shown = await plane.cli('describe', 'scribe', '--fleet', 'demo');
    assert.match(shown.out, new RegExp(`gitea://acme/notes.*v1.*${first.slice(0, 7)}`), shown.out + shown.err);
  });

  test('L68 another pin, and a private plugin, go in while it runs, with one restart for both', async () => {
    const second = git.repo('acme/notes').commit({ ...plain('notes', { restart: true, version: '2.0.0' }) });
    git.repo('acme/vault').commit(plain('vault', { restart: true }));
    git.wants.set('acme/vault', 'token s3cret-of-gitea');
    const stored = await plane.ask('PUT', '/v1/fleets/demo/secrets/gitea', { body: { value: 's3cret-of-gitea' } });
    assert.ok(stored.status < 300, stored.text);
    await declare(`gitea://acme/notes#${second.slice(0, 10)}`, {
      source: 'gitea://acme/vault',
      ref: 'main',
      header: 'Authorization: token ${secret:gitea}',
      track: true,
    });
    const view = await fleet.until('scribe', 'both are in', (now) => settled(now) && now.plugins.length === 2);
    assert.equal(view.plugins[0]?.sha, second);
    assert.equal(view.restarts.planned, 1);
    assert.ok(!`${plane.said()}${ownLog()}`.includes('s3cret-of-gitea'));
    assert.ok(!JSON.stringify(await fleet.events()).includes('s3cret-of-gitea'));
  });

  test('L70 the secret of a plugin is in use, cannot be deleted, and is in no answer, log or address, wrong or right', async () => {
    const [listed] = (
      await plane.ask<{ items: readonly { usedBy: readonly string[] }[] }>('GET', '/v1/fleets/demo/secrets')
    ).body.items;
    assert.deepEqual(listed?.usedBy, ['scribe']);
    const refused = await plane.ask<{ detail: string }>('DELETE', '/v1/fleets/demo/secrets/gitea');
    assert.equal(refused.status, 409, refused.text);
    assert.match(refused.body.detail, /scribe/);
    // A wrong one is refused by the git server, and its words reach the operator without it.
    const wrong = await plane.ask('PUT', '/v1/fleets/demo/secrets/gitea', { body: { value: 'wr0ng-for-gitea' } });
    assert.ok(wrong.status < 300, wrong.text);
    const moved = git.repo('acme/vault').commit({ ...plain('vault', { restart: true }), more: 'again' });
    await until('the refusal is in our own log', () => /could not be looked up/.test(ownLog()));
    const answers = await Promise.all(
      ['instances/scribe', 'secrets', 'events?limit=1000', 'instances/scribe/why', 'manifest'].map((path) =>
        plane.ask('GET', `/v1/fleets/demo/${path}`),
      ),
    );
    const right = await plane.ask('PUT', '/v1/fleets/demo/secrets/gitea', { body: { value: 's3cret-of-gitea' } });
    assert.ok(right.status < 300, right.text);
    await fleet.until('scribe', 'the right one lets it in', (now) => settled(now) && now.plugins[1]?.sha === moved);
    const told = [
      ...answers.map(({ text }) => text),
      plane.said(),
      ownLog(),
      git.asked.join(),
      JSON.stringify(await fleet.events()),
    ];
    for (const value of ['wr0ng-for-gitea', 's3cret-of-gitea'])
      for (const text of told) assert.ok(!text.includes(value), `${value} is told`);
  });

  test('a tracked branch that moves is followed', async () => {
    const next = git.repo('acme/vault').commit({ ...plain('vault', { restart: true }), more: 'more' });
    await fleet.until('scribe', 'the new commit is in', (now) => settled(now) && now.plugins[1]?.sha === next);
  });

  test('L69 what vanished from the box is back after a crash, and after our own kill -9', async () => {
    const box = join(plane.data, 'processes/process/demo');
    const uid = (await fleet.get('scribe')).uid;
    const file = join(box, `scribe.${uid}.plugins/current/notes/plugin.json`);
    assert.match(readFileSync(file, 'utf8'), /2\.0\.0/);
    rmSync(file);
    send(pidOf(await fleet.get('scribe')), 'SIGKILL');
    await fleet.until('scribe', 'it is back after a crash', (now) => settled(now) && existsSync(file));
    await plane.kill();
    rmSync(join(box, `scribe.${uid}.plugins`), { recursive: true });
    plane = await world.up({ data: plane.data });
    fleet = plane.fleet('demo');
    await fleet.until('scribe', 'it is back after our restart', (now) => settled(now) && existsSync(file));
  });

  test('one bad plugin degrades, names its reason, and keeps nobody waiting; undeclared, it is forgotten', async () => {
    git.repo('acme/evil').commit({ ...plain('evil'), leak: { link: '/etc/passwd' } });
    await declare('gitea://acme/evil#main', 'gitea://acme/notes#v1');
    const bad = await fleet.until(
      'scribe',
      'the good one is in and the bad one is not',
      ({ phase, plugins }) => phase === 'DEGRADED' && plugins.map(({ state }) => state).join() === 'failed,installed',
    );
    assert.match(
      bad.plugins[0]?.error ?? '',
      /cannot be installed: the link "leak" leads out of it, to "\/etc\/passwd"/,
    );
    await declare('gitea://acme/notes#v1');
    const good = await fleet.until('scribe', 'it is well again', (now) => settled(now) && now.plugins.length === 1);
    assert.equal(good.lastError, null);
  });
});
