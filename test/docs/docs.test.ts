/**
 * Keeps the pages honest, cheaply: what they name exists. Links resolve, scripts are in package.json, commands and their
 * options are in the command line's own help, files are there, manifests are accepted, metrics are those that are served.
 * That what they *say* is true, a reader has to judge.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { describe, test } from 'node:test';
import { readManifest } from '../../src/core/manifest/read.ts';
import { manifestJsonSchema } from '../../src/core/manifest/schema.ts';
import { PHASES } from '../../src/core/model.ts';
import { readServerFile } from '../../src/core/server-file.ts';
import type { TargetTypeInfo } from '../../src/core/manifest/context.ts';
import { dockerType } from '../../src/targets/docker/type.ts';
import { externalType } from '../../src/targets/external.ts';
import { processType } from '../../src/targets/process/type.ts';
import { cli } from '../cli/support/cli.ts';
import { readFiles, ROOT } from '../style/source.ts';

const pages = readFiles((path) => /^(README|CONTRIBUTING)\.md$|^(docs|deploy)\/.*\.md$/.test(path));

/** A piece of code in a page: a line of a block, or what stands between two back-ticks. */
interface Code {
  readonly text: string;
  readonly block: boolean;
}

test('the pages that everybody looks for are there', () => {
  for (const page of ['README.md', 'docs/ARCHITECTURE.md', 'docs/GLOSSARY.md', 'docs/operating.md', 'docs/manifest.md'])
    assert.ok(pages.has(page), page);
});

for (const [page, text] of pages) {
  describe(page, () => {
    test('every relative link leads somewhere', () => assert.deepEqual(brokenLinks(page, text), []));
    test('every npm script exists', () => assert.deepEqual(unknownScripts(text), []));
    test('every file that is named exists', () => assert.deepEqual(missingFiles(text), []));
    test('every command exists, with the options that it is given', async () =>
      assert.deepEqual(await unknownCommands(text), []));
    test('no path of the machine it was written on', () => assert.deepEqual(machinePaths(text), []));
    test('every manifest and server file in it is accepted', () => assert.deepEqual(refusedYaml(text), []));
  });
}

test('the manifest page has every key of the schema', () => {
  const said = pages.get('docs/manifest.md') ?? '';
  assert.deepEqual(
    manifestKeys(manifestJsonSchema()).filter((key) => !said.includes(key)),
    [],
  );
});

test('the operating page has exactly the metrics that are served', () => {
  const source = readFileSync(join(ROOT, 'src/observe/families.ts'), 'utf8');
  const served = new Set(source.match(/\bholdfast_\w+/g));
  const said = new Set((pages.get('docs/operating.md') ?? '').match(/\bholdfast_\w+/g));
  assert.deepEqual([...said].toSorted(), [...served].toSorted());
});

test('the readme says what each phase means', () => {
  const said = pages.get('README.md') ?? '';
  assert.deepEqual(
    PHASES.filter((phase) => !said.includes(`| \`${phase}\``)),
    [],
  );
});

describe('a planted mistake is found:', () => {
  test('a link', () => assert.deepEqual(brokenLinks('docs/x.md', 'See [it](nowhere.md).'), ['nowhere.md']));
  test('an anchor', () => assert.deepEqual(brokenLinks('docs/x.md', '# One\n[two](#two)'), ['#two']));
  test('a script', () => assert.deepEqual(unknownScripts('Run `npm run -s nonsense -- x`.'), ['nonsense']));
  test('a file', () => assert.deepEqual(missingFiles('See `src/core/nonsense.ts`.'), ['src/core/nonsense.ts']));
  test('a command', async () =>
    assert.deepEqual(await unknownCommands('Run `holdfast frobnicate x`.'), ['holdfast frobnicate']));
  test('a sub-command', async () =>
    assert.deepEqual(await unknownCommands('Run `holdfast token steal x`.'), ['holdfast token steal']));
  test('an option', async () =>
    assert.deepEqual(await unknownCommands('Run `holdfast get --nonsense`.'), ['holdfast get --nonsense']));
  test('a path', () =>
    assert.deepEqual(machinePaths(`in ${['', 'tmp', 'x'].join('/')}`), [['', 'tmp', 'x'].join('/')]));
  test('a manifest', () => {
    const block = '```yaml\nversion: 1\nfleet: x\ninstances: { a: { target: proces } }\n```';
    assert.equal(refusedYaml(block).length, 1);
  });
});

// ── what is looked for ──────────────────────────────────────────────────────────────────────────────────────────────

function codeOf(text: string): Code[] {
  const found: Code[] = [];
  const prose = text.replace(/^```.*\n([\s\S]*?)^```/gm, (_block, inside: string) => {
    for (const line of inside.split('\n')) found.push({ text: line.replace(/\s+#.*$/, ''), block: true });
    return '';
  });
  for (const [, inside = ''] of prose.matchAll(/`([^`\n]+)`/g)) found.push({ text: inside, block: false });
  return found;
}

function brokenLinks(page: string, text: string): string[] {
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = '', anchor] = link.split('#');
    const file = path === '' ? page : posix.normalize(posix.join(dirname(page), path));
    if (path !== '' && !existsSync(join(ROOT, file))) return true;
    return anchor !== undefined && !anchorsOf(path === '' ? text : (pages.get(file) ?? '')).has(anchor);
  });
}

/** As GitHub makes them. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} -]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function unknownScripts(text: string): string[] {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
  return codeOf(text)
    .flatMap((code) => [...code.text.matchAll(/\bnpm (?:run (?:-s |--silent )?([\w:-]+)|(start|test)\b)/g)])
    .map(([, script, short]) => script ?? short ?? '')
    .filter((script) => !Object.hasOwn(scripts, script));
}

function missingFiles(text: string): string[] {
  return codeOf(text)
    .flatMap((code) => code.text.match(/(?<![\w./@-])(?:src|test|docs|bench|scripts|examples|\.ci)\/[\w./-]*\w/g) ?? [])
    .filter((path) => !existsSync(join(ROOT, path)));
}

function machinePaths(text: string): string[] {
  return text.match(/(?<![\w.-])\/(?:work|tmp|root|home|Users)\/[\w./-]+/g) ?? [];
}

function refusedYaml(text: string): string[] {
  const blocks = [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, inside = '']) => inside);
  return blocks.flatMap((block) => {
    const read = /^version:/m.test(block)
      ? readManifest(block, {
          targets: new Map<string, TargetTypeInfo>(
            [processType, dockerType, externalType].map((type) => [type.type, type]),
          ),
          channels: new Map(),
          secrets: new Map([['gitea', 1]]),
          unsetSecrets: 'refuse',
          allowRelative: false,
        })
      : readServerFile(block, new Set(['process', 'docker']));
    return read.ok ? [] : read.errors.map(({ path, line, message }) => `${line}: ${path}: ${message}`);
  });
}

/** Keys that a person writes; those below a map of names are found under "*". */
function manifestKeys(schema: object): string[] {
  const {
    properties = {},
    additionalProperties,
    anyOf = [],
    items,
  } = schema as {
    properties?: Record<string, object>;
    additionalProperties?: object | boolean;
    anyOf?: object[];
    items?: object;
  };
  const below = [...Object.values(properties), ...anyOf];
  if (typeof additionalProperties === 'object') below.push(additionalProperties);
  if (items !== undefined) below.push(items);
  return [...new Set([...Object.keys(properties), ...below.flatMap(manifestKeys)])];
}

// ── the command line, asked for its own help ────────────────────────────────────────────────────────────────────────

/** `holdfast`, what comes before the command, the command, perhaps a sub-command, and the rest of the line. */
const CALL = /\bholdfast(?: --)?(?: --(?:data|fleet) \S+)* ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?([^`|&;]*)/;

async function unknownCommands(text: string): Promise<string[]> {
  const wrong: string[] = [];
  for (const { text: line, block } of codeOf(text)) {
    const call = CALL.exec(line);
    // In prose, `holdfast.db` and the like are no calls; CALL wants a word behind a space.
    if (call === null || (!block && !/^(npm run -s )?holdfast\b/.test(line))) continue;
    const [, command = '', second = '', rest = ''] = call;
    const general = await helpOf([]);
    if (!listed(general, command)) {
      wrong.push(`holdfast ${command}`);
      continue;
    }
    const own = await helpOf([command]);
    const isGroup = command === 'token';
    if (isGroup && !listed(own, second)) wrong.push(`holdfast ${command} ${second}`.trim());
    else {
      const help = second !== '' && listed(own, second) ? await helpOf([command, second]) : own;
      for (const [option] of ` ${second}${rest}`.matchAll(/(?<=\s)(?:--[a-z][a-z-]*|-[a-z](?=\s|$))/g))
        if (!new RegExp(`(^|[ ,])${option}[ ,]`, 'm').test(help)) wrong.push(`holdfast ${command} ${option}`);
    }
  }
  return wrong;
}

const helps = new Map<string, Promise<string>>();

function helpOf(words: readonly string[]): Promise<string> {
  const key = words.join(' ');
  const known = helps.get(key) ?? cli([...words, '--help'], { tty: true, columns: 200 }).then(({ out }) => `${out}\n`);
  helps.set(key, known);
  return known;
}

/** Commands stand in the help indented by two, before their arguments. */
const listed = (help: string, command: string): boolean => new RegExp(`^  ${command}( |$)`, 'm').test(help);
