/** Finding the server, and saying what is wrong when there is none, or another, or a closed door. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { cli, temporaryFolder } from './support/cli.ts';
import { fakeApi, fleetView, problem, TOKEN, WRITTEN } from './support/fake-api.ts';

function dataFolder(parent: string, url: string, token: string | null): string {
  const folder = join(parent, '.holdfast');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'endpoint'), `${url}\n`);
  if (token !== null) writeFileSync(join(folder, 'admin.token'), `${token}\n`, { mode: 0o600 });
  return folder;
}

/** A port that was free a moment ago. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('the server is found by the nearest data folder upwards, with its token', async () => {
  using folder = temporaryFolder();
  await using api = await fakeApi();
  dataFolder(folder.path, api.url, TOKEN);
  const deep = join(folder.path, 'a', 'b');
  mkdirSync(deep, { recursive: true });
  const { code, out } = await cli('get', { cwd: deep });
  assert.equal(code, 0);
  assert.match(out, /scribe/);
});

test('--data names the folder, before the command and after it, and wins over HOLDFAST_URL', async () => {
  using folder = temporaryFolder();
  await using api = await fakeApi();
  const data = dataFolder(folder.path, api.url, TOKEN);
  const env = { HOLDFAST_URL: 'http://127.0.0.1:1' };
  assert.equal((await cli(['get', '--data', data], { env })).code, 0);
  assert.equal((await cli(['--data', data, 'get'], { env })).code, 0);
  assert.equal((await cli(['--data', data, 'delete', 'scribe', '--data', 'keep'], { env })).code, 0);
  assert.ok(api.asked.some(({ path }) => path.endsWith('?data=keep')));
});

test('a token found in a folder is not sent to another server', async () => {
  using folder = temporaryFolder();
  await using api = await fakeApi();
  dataFolder(folder.path, 'http://127.0.0.1:1', TOKEN);
  const { code, err } = await cli('get', { cwd: folder.path, env: { HOLDFAST_URL: api.url } });
  assert.equal(code, 2);
  assert.match(err, /wants a token: set HOLDFAST_TOKEN/);
  assert.ok(api.asked.every(({ headers }) => headers.authorization === undefined));
});

test('nothing that answers is one helpful sentence, and a problem for programs', async () => {
  const url = `http://127.0.0.1:${await closedPort()}`;
  const env = { HOLDFAST_URL: url, HOLDFAST_TOKEN: TOKEN };
  const people = await cli('get', { env });
  assert.equal(people.code, 2);
  assert.equal(people.err, `Nothing answers at ${url}; is Holdfast running? Start it with \`holdfast up\`.\n`);
  const programs = await cli('get -o json', { env });
  assert.equal(programs.code, 2);
  assert.equal((JSON.parse(programs.err) as { title: string }).title, 'unreachable');
  assert.equal(programs.out, '');
});

test('without any server to talk to, it says where it looked', async () => {
  using folder = temporaryFolder();
  const { code, err } = await cli('get', { cwd: folder.path });
  assert.equal(code, 2);
  assert.match(err, /HOLDFAST_URL is not set, and neither .* nor a folder above it has a \.holdfast\//);
  mkdirSync(join(folder.path, '.holdfast'));
  assert.match((await cli('get', { cwd: folder.path })).err, /names no server .* is Holdfast running\?/);
  assert.match((await cli('get', { env: { HOLDFAST_URL: 'localhost:7717' } })).err, /HOLDFAST_URL is "localhost:7717"/);
});

test('a wrong token is said with the place that it came from', async () => {
  using folder = temporaryFolder();
  await using api = await fakeApi();
  const data = dataFolder(folder.path, api.url, 'hf_old');
  const found = await cli('get', { cwd: folder.path });
  assert.equal(found.code, 2);
  assert.ok(found.err.includes(`does not accept the token from ${join(data, 'admin.token')}`), found.err);
  const said = await cli('get', { env: { HOLDFAST_URL: api.url, HOLDFAST_TOKEN: 'hf_other' } });
  assert.match(said.err, /token from HOLDFAST_TOKEN/);
  assert.ok(!said.err.includes('hf_other'));
});

test('something else that answers is not taken for a Holdfast', async () => {
  await using api = await fakeApi({
    'GET /v1/fleets': (_asked, response) => {
      response.end('<html>hello</html>');
      return WRITTEN;
    },
  });
  const { code, err } = await cli('get', { api });
  assert.equal(code, 2);
  assert.match(err, /is no Holdfast/);
});

test('a refusal names the rule that forbids it', async () => {
  await using api = await fakeApi({
    'POST /v1/fleets/demo/instances/scribe/wake': () =>
      problem(409, 'scribe is not lazy; it never sleeps', { rule: 'not-lazy' }),
  });
  const people = await cli('wake scribe', { api });
  assert.equal(people.code, 2);
  assert.equal(people.err, 'scribe is not lazy; it never sleeps (rule: not-lazy)\n');
  const programs = await cli('wake scribe -o json', { api });
  assert.equal((JSON.parse(programs.err) as { rule: string }).rule, 'not-lazy');
});

test('of several fleets one must be named, by option or environment', async () => {
  await using api = await fakeApi({
    'GET /v1/fleets': () => ({ items: [fleetView(), fleetView({ fleet: 'prod' })], next: null }),
  });
  const { code, err } = await cli('get', { api });
  assert.equal(code, 2);
  assert.match(err, /Which fleet\? There are demo, prod/);
  assert.equal((await cli('get --fleet demo', { api })).code, 0);
  assert.equal((await cli('--fleet demo get', { api })).code, 0);
  assert.equal((await cli('get', { api, env: { HOLDFAST_FLEET: 'demo' } })).code, 0);
});

test('options and commands that do not exist are errors with a hint', async () => {
  const option = await cli('get --phas error');
  assert.equal(option.code, 2);
  assert.match(option.err, /Did you mean --phase\?/);
  assert.equal((await cli('get --phase asleep')).code, 2);
  assert.equal((await cli('get -o yaml')).code, 2);
  assert.equal((await cli('gte')).code, 2);
});
