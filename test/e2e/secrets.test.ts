/** A stored secret on the real server: an agent gets it and prints it, and it is found nowhere on the way back. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Json } from '../../src/core/model.ts';
import { ofType, openWorld, send, until, wordsOf, type Fleet, type Plane, type World } from '../support/e2e.ts';

const OLD = 'sk-old/"quoted"-0123456789';
const NEW = 'sk-new/"quoted"-0123456789';
/** Says what it was given, in many ways, and runs until it is told otherwise. */
const TELLTALE = `
const key = process.env.KEY;
console.log('key', key, JSON.stringify({ key }), Buffer.from('user:' + key).toString('base64'));
console.error('https://x/?key=' + encodeURIComponent(key));
process.on('SIGTERM', () => process.exit(0));
process.on('SIGUSR2', () => { console.log('dying with', key); process.exit(1); });
console.log('is up, pid ' + process.pid);
setInterval(() => undefined, 60_000);
`;

let world: World;
let plane: Plane;
let fleet: Fleet;
let bot: Json;

before(async () => {
  world = await openWorld();
  const file = join(world.folder, 'telltale.mjs');
  writeFileSync(file, TELLTALE);
  bot = { target: 'process', run: { command: [process.execPath, file], env: { KEY: '${secret:llm}' } } };
  plane = await world.up();
  fleet = plane.fleet('keys');
});
after(() => world.close());

const put = (value: string) =>
  plane.ask<{ version: number; usedBy: readonly string[] }>('PUT', '/v1/fleets/keys/secrets/llm', { body: { value } });

/** Every file of the data folder but what agents wrote themselves, and every answer. */
async function everythingSaid(): Promise<string> {
  const files = readdirSync(plane.data, { recursive: true, encoding: 'utf8' })
    .filter((path) => !path.endsWith('.log') || path === 'holdfast.log')
    .map((path) => join(plane.data, path))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
    .map((path) => readFileSync(path, 'latin1'));
  const paths = ['', '/manifest', '/instances', '/instances/a', '/instances/a/why', '/events?limit=1000', '/secrets'];
  const answers = await Promise.all(
    [...paths.map((path) => `/v1/fleets/keys${path}`), '/metrics'].map(
      async (path) => (await plane.ask('GET', path)).text,
    ),
  );
  return [...files, ...answers, plane.said()].join('\n');
}

function assertNowhere(text: string, value: string): void {
  for (const form of [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value)]) {
    const at = text.indexOf(form);
    assert.equal(at, -1, at === -1 ? '' : `found: …${text.slice(Math.max(0, at - 200), at)}[here]`);
  }
}

test('before it is stored, a manifest that names it is refused with path and line', async () => {
  const refused = await fleet.apply({ instances: { a: bot } });
  assert.equal(refused.status, 422);
  assert.match(refused.text, /instances\.a\.run\.env\.KEY.*no secret \\"llm\\" is stored: store it first/);
});

test('L70 an agent gets it in its environment, and what it prints of it comes back without it', async () => {
  const stored = await put(OLD);
  assert.deepEqual([stored.status, stored.body.version], [200, 1]);
  assert.equal(statSync(join(plane.data, 'secret.key')).mode & 0o777, 0o600);
  await fleet.declare({ policy: { rollout: { healthyFor: '1s' } }, instances: { a: bot } });
  const pid = await fleet.running('a');
  assert.ok(readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`KEY=${OLD}\0`));
  const logs = await until('it has spoken', async () => {
    const written = await fleet.logs('a');
    return written.includes('is up') ? written : undefined;
  });
  assert.match(logs, /^key \[secret:llm\] \{"key":"\[secret:llm\]"\} .*\[secret:llm\]/m);
  send(pid, 'SIGUSR2');
  await until('the flap is said', async () => {
    const [flap] = ofType(await fleet.events(), 'flap.observed', 'a');
    return flap === undefined ? undefined : wordsOf(flap, 'output');
  }).then((output) => assert.match(output, /dying with \[secret:llm\]/));
  assertNowhere(await everythingSaid(), OLD);
});

test('a rotation restarts who uses it with the new value', async () => {
  const before = await fleet.running('a');
  assert.deepEqual((await put(NEW)).body.usedBy, ['a']);
  await fleet.until('a', 'in another life', ({ resource, phase }) => phase === 'RUNNING' && resource?.pid !== before);
  const pid = await fleet.running('a');
  assert.ok(readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`KEY=${NEW}\0`));
  const said = await everythingSaid();
  for (const value of [OLD, NEW]) assertNowhere(said, value);
});

test('without its key the server does not start, and with it everything is as it was', async () => {
  const pid = await fleet.running('a');
  await plane.end();
  const key = join(plane.data, 'secret.key');
  renameSync(key, `${key}.away`);
  const { code, err } = await world.refused({ data: plane.data });
  assert.equal(code, 2);
  assert.match(err, /^the stored secrets of fleet "keys" cannot be opened \(llm\): the key is missing .*secret\.key/);
  assert.ok(!readdirSync(plane.data).includes('secret.key'));
  renameSync(`${key}.away`, key);
  plane = await world.up({ data: plane.data });
  fleet = plane.fleet('keys');
  assert.equal(await fleet.running('a'), pid, 'the agent ran on');
});

test('it is not deleted while it is used, and gone when it is not', async () => {
  assert.equal((await plane.ask('DELETE', '/v1/fleets/keys/secrets/llm')).status, 409);
  await fleet.declare({ instances: { a: { target: 'process', run: { command: [...world.agent()] } } } });
  assert.equal((await plane.ask('DELETE', '/v1/fleets/keys/secrets/llm')).status, 204);
  assert.match((await plane.cli('secret', 'list', '--fleet', 'keys')).err, /No secrets are stored/);
});
