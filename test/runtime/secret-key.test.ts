/** The key of stored secrets: made once, private, never guessed, and never repeated in an error. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openDataFolder, secretKey, type DataFolder } from '../../src/runtime/data-folder.ts';

function folderFor(t: TestContext): DataFolder {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-key-'));
  t.after(() => rmSync(path, { recursive: true }));
  return openDataFolder(path, path);
}

test('it is made when it is first needed, private, and found again', (t) => {
  const folder = folderFor(t);
  const file = join(folder.path, 'secret.key');
  const key = secretKey(folder, null);
  assert.equal(key.read(), null);
  assert.ok(!existsSync(file), 'to look for it makes none');
  const made = key.make();
  assert.equal(made.length, 32);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual([key.make(), secretKey(folder, null).read()], [made, made]);
});

test('one that is given is used, and nothing is written', (t) => {
  const folder = folderFor(t);
  const given = secretKey(folder, `${'0f'.repeat(32)}\n`);
  assert.deepEqual([given.read(), given.make()], [Buffer.alloc(32, 0x0f), Buffer.alloc(32, 0x0f)]);
  assert.ok(!existsSync(join(folder.path, 'secret.key')));
});

test('a slip in it is said without repeating it, and a damaged file is left as it is', (t) => {
  const folder = folderFor(t);
  const slip = '0f'.repeat(31);
  assert.throws(
    () => secretKey(folder, slip),
    (error: Error) => /HOLDFAST_SECRET_KEY is no key/.test(error.message) && !error.message.includes('0f0f'),
  );
  const file = join(folder.path, 'secret.key');
  writeFileSync(file, slip);
  for (const ask of [() => secretKey(folder, null).read(), () => secretKey(folder, null).make()]) {
    assert.throws(
      ask,
      (error: Error) => /secret\.key is damaged/.test(error.message) && !error.message.includes('0f0f'),
    );
  }
  assert.equal(readFileSync(file, 'utf8'), slip);
});
