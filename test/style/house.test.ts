/**
 * The house style as tests (rules: house.ts), each with a planted violation; and the lock file says what package.json says.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { houseComplaints, LONG_LINES, longFiles, MAX_LINES } from './house.ts';
import { print, readFiles, ROOT } from './source.ts';

/** Kinds of text that are committed. Images, archives and the like have no paths that we wrote. */
const TEXT = /\.(tsx?|m?js|json|ya?ml|md|sql|sh|css|html|toml|service|txt)$|^\.ci\/|(^|\/)(Dockerfile|\.\w+)$/;

const files = readFiles((path) => TEXT.test(path));

test('the project keeps to the house style', (t) => {
  assert.ok(files.size > 0, 'no files were read');
  const long = longFiles(files);
  if (long.length > 0) t.diagnostic(`over ${LONG_LINES} lines, the next to be split: ${long.join(', ')}`);
  assert.equal(print(houseComplaints(files)), '');
});

test('package-lock.json is of this package.json', () => {
  const read = (name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(join(ROOT, name), 'utf8')) as Record<string, unknown>;
  const asked = read('package.json');
  const locked = (read('package-lock.json')['packages'] as Record<string, Record<string, unknown>>)['']!;
  for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) {
    assert.deepEqual(locked[kind] ?? {}, asked[kind] ?? {}, `${kind} differ: run npm install and commit the lock`);
  }
});

/** Spelled in two halves, so that this file does not complain about itself. */
const LATER = ['TO', 'DO'].join('');
const USERS = ['', 'Users', 'someone'].join('/');
const HOME = ['', 'home'].join('/');
const WORK = ['', 'work', 'main'].join('/');

describe('a planted violation is found:', () => {
  const violations: readonly [rule: string, file: string, text: string][] = [
    ['name', 'src/core/utils.ts', '/** x */'],
    ['name', 'src/runtime/fleet-manager.ts', '/** x */'],
    ['name', 'src/http/helpers/body.ts', '/** x */'],
    ['name', 'test/support/misc.ts', '/** x */'],
    ['opening', 'src/core/planted.ts', "import './model.ts';\n/** Too late. */"],
    ['opening', 'src/core/planted.ts', '/** */\nexport const x = 1;'],
    ['length', 'src/core/planted.ts', `/** x */${'\n'.repeat(MAX_LINES)}x`],
    ['promise', 'src/core/planted.ts', `/** x */\n// ${LATER}: later`],
    ['words', 'src/core/planted.ts', '/** x */\ntry { f(); } catch (error) { say(error.message); }'],
    ['words', 'src/core/planted.ts', '/** x */\ntry { f(); } catch (other) { say((other as Error).message); }'],
    [
      'words',
      'src/core/planted.ts',
      '/** x */\ntry { f(); } catch (error) { say(error instanceof Error ? error.message : 1); }',
    ],
    ['words', 'src/core/planted.ts', '/** x */\ntry { f(); } catch (error) { say(`${1} ${error}`); }'],
    ['words', 'src/core/planted.ts', '/** x */\nf().catch((gone: unknown) => say(String(gone)));'],
    ['words', 'src/core/planted.ts', "/** x */\nserver.on('error', (error) => say(error.message));"],
    ['words', 'src/core/planted.ts', '/** x */\nfunction f(reason: unknown) { return String(reason); }'],
    ['words', 'src/core/planted.ts', '/** x */\nconst f = (error: Error) => error.message;'],
    ['skip', 'test/planted.test.ts', "test.skip('x', () => {});"],
    ['skip', 'test/planted.test.ts', "it.todo('x');"],
    ['skip', 'test/planted.test.ts', "describe.only('x', () => {});"],
    ['skip', 'test/planted.test.ts', "test('x', { skip: true }, () => {});"],
    ['skip', 'test/planted.test.ts', "test('x', { todo: '' }, () => {});"],
    ['skip', 'test/planted.test.ts', "test('x', { only: true }, () => {});"],
    ['skip', 'test/planted.test.ts', "test('x', (t) => t.skip());"],
    ['machine', 'docs/planted.md', `see ${USERS}/notes`],
    ['machine', '.ci/run', `cd ${HOME}/someone/holdfast`],
    ['machine', 'src/core/planted.ts', `/** see ${WORK}/src */`],
  ];
  for (const [rule, file, text] of violations) {
    test(`${rule}: ${file}: ${text.slice(0, 60).trim()}`, () => {
      const found = houseComplaints(new Map([[file, text]]));
      assert.deepEqual(
        found.map((complaint) => complaint.rule),
        [rule],
      );
    });
  }
});

describe('what is allowed stays allowed:', () => {
  const allowed: readonly [file: string, text: string][] = [
    ['src/cli/main.ts', '#!/usr/bin/env node\n/** The command line. */'],
    ['src/core/planted.ts', `/** x */${'\n'.repeat(MAX_LINES - 1)}`],
    ['test/planted.test.ts', "test('x', { skip: hasDocker ? false : 'needs Docker' }, (t) => t.skip('no engine'));"],
    ['test/planted.test.ts', "test('x', { skip: 'needs Docker' }); list.skip(); const text = 'test.only()';"],
    ['deploy/Dockerfile', `WORKDIR ${HOME}/node/app`],
  ];
  for (const [file, text] of allowed) {
    test(`${file}: ${text.slice(0, 60).trim()}`, () =>
      assert.equal(print(houseComplaints(new Map([[file, text]]))), ''));
  }
});
