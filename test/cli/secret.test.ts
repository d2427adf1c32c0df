/** `holdfast secret set`: where the value comes from, and that it is nowhere but in the request. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createApp, listen } from '../../src/http/server.ts';
import { createFakeControl, TOKENS, type FakeControl } from '../support/fake-control.ts';
import { cli } from './support/cli.ts';

async function served(t: TestContext): Promise<{ control: FakeControl; env: Record<string, string> }> {
  const control = createFakeControl();
  const server = await listen(createApp(control), { host: '127.0.0.1', port: 0 });
  t.after(() => server.close());
  return { control, env: { HOLDFAST_URL: server.url, HOLDFAST_TOKEN: TOKENS.operate, HOLDFAST_FLEET: 'alpha' } };
}

function fileOf(t: TestContext, content: string | Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-secret-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'key.txt');
  writeFileSync(file, content);
  return file;
}

const valueIn = (control: FakeControl): unknown => control.calls.findLast(({ verb }) => verb === 'putSecret')?.args[2];

test('a value from standard input loses the one line end that a pipe adds, and is not repeated', async (t) => {
  const { control, env } = await served(t);
  const { code, out, err } = await cli('secret set llm', { env, stdin: 'sk-live-1234\n' });
  assert.equal(code, 0, err);
  assert.equal(valueIn(control), 'sk-live-1234');
  assert.match(out, /^Secret "llm" is at version 4\.\n$/);
  assert.match(err, /Used by one: brought to the new version by a rollout/);
  assert.ok(!`${out}${err}`.includes('sk-live-1234'));
});

test('a value from a file is taken whole, and exactly if that is said', async (t) => {
  const { control, env } = await served(t);
  const file = fileOf(t, 'line one\nline two\n');
  assert.equal((await cli(`secret set pem --from-file ${file}`, { env })).code, 0);
  assert.equal(valueIn(control), 'line one\nline two');
  assert.equal((await cli(`secret set pem --from-file ${file} --exact`, { env })).code, 0);
  assert.equal(valueIn(control), 'line one\nline two\n');
});

test('on a terminal it is asked for without echo', async (t) => {
  const { control, env } = await served(t);
  const { code, err } = await cli('secret set llm', { env, answer: 'typed-secret' });
  assert.equal(code, 0, err);
  assert.equal(valueIn(control), 'typed-secret');
  assert.match(err, /Value of llm \(it is not shown\)/);
});

test('a file that is not there, or is no text, stores nothing', async (t) => {
  const { control, env } = await served(t);
  const missing = await cli('secret set llm --from-file /nowhere/key', { env });
  assert.equal(missing.code, 2);
  assert.match(missing.err, /\/nowhere\/key cannot be read/);
  const binary = await cli(`secret set llm --from-file ${fileOf(t, Uint8Array.of(0xff, 0xfe, 1))}`, { env });
  assert.equal(binary.code, 2);
  assert.match(binary.err, /not UTF-8 text/);
  assert.equal(valueIn(control), undefined);
});

test('a value on the command line is refused, and not repeated', async (t) => {
  const { control, env } = await served(t);
  const { code, out, err } = await cli('secret set llm sk-live-1234', { env, stdin: '' });
  assert.equal(code, 2);
  assert.ok(!`${out}${err}`.includes('sk-live-1234'));
  assert.equal(valueIn(control), undefined);
});
