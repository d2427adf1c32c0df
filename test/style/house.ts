/**
 * The part of STYLE.md that a program can hold us to, beyond the compiler and the linter.
 *
 *  - `name`: no file is called after nothing (utils, helpers, manager, misc).
 *  - `opening`: a source file opens with what it is for.
 *  - `length`: a source file is one idea, at most MAX_LINES long.
 *  - `promise`: no TODO in src; an open end is an issue, where somebody sees it.
 *  - `words`: nothing that was caught is told by its raw message, which may be empty (L43); `wordsOf` words it.
 *  - `skip`: no test is skipped, postponed or singled out without a reason that the report prints.
 *  - `machine`: no committed file knows the machine it was written on.
 */
import { rawWords } from './raw-words.ts';
import { type Complaint, type Files, isTypeScript, nameOf, type Node, parse } from './source.ts';

export const MAX_LINES = 400;
/** Over this a file is listed, not refused. */
export const LONG_LINES = 300;

/** Longer than MAX_LINES, each with its reason and its own bound. The way out is to split it, not to raise the number. */
const LONGER: Readonly<Record<string, number>> = {
  'src/core/model.ts': 500, // the vocabulary: types and their sentences, no code to split along
  'src/core/table.ts': 500, // one ordered table: cut in two, it could not be read from top to bottom
};

/** What words a caught value for all others. */
const WORDING = 'src/core/error-words.ts';

const NAMELESS = /(^|[-.])(utils?|helpers?|managers?|misc|common|stuff)([-.]|$)/i;
const TESTERS = new Set(['test', 'it', 'describe', 'suite', 't']);

export function houseComplaints(files: Files): Complaint[] {
  const complaints: Complaint[] = [];
  for (const [file, text] of files) {
    const say = (rule: string, line: number, message: string): number => complaints.push({ file, line, rule, message });
    for (const [line, found] of machinePaths(text)) say('machine', line, `is a path of one machine: ${found}`);
    if (!isTypeScript(file)) continue;
    if (file.split('/').some((part) => NAMELESS.test(part)))
      say('name', 1, 'is named after nothing; say what it is for');
    if (file.startsWith('src/')) {
      const source = text.replace(/^#!.*\n/, '');
      if (!/^\s*(\/\*[\s*]*[^\s*/]|\/\/\s*\S)/.test(source)) say('opening', 1, 'does not open with what it is for');
      const limit = LONGER[file] ?? MAX_LINES;
      if (lines(text) > limit) say('length', limit, `has ${lines(text)} lines, over ${limit}; split it by ideas`);
      for (const [line, found] of matches(text, /\b(TODO|FIXME|XXX)\b/))
        say('promise', line, `${found}: file an issue instead`);
      if (file !== WORDING) for (const [line, found] of rawWords(file, text)) say('words', line, found);
    }
    if (/^(test|bench)\//.test(file)) {
      for (const [line, message] of skips(file, text)) say('skip', line, message);
    }
  }
  return complaints;
}

export function longFiles(files: Files): string[] {
  const long = [...files].filter(([file, text]) => file.startsWith('src/') && lines(text) > LONG_LINES);
  return long.map(([file, text]) => `${file} (${lines(text)})`).toSorted();
}

function lines(text: string): number {
  return text.replace(/\n$/, '').split('\n').length;
}

function matches(text: string, pattern: RegExp): [line: number, found: string][] {
  return text.split('\n').flatMap((line, index): [number, string][] => {
    const found = pattern.exec(line);
    return found === null ? [] : [[index + 1, found[0]]];
  });
}

/**
 * Home folders of people, and the checkout that this began in. `/home/node` and the like are paths inside container images.
 * Not this checkout's own place: what is red must not depend on where the clone lies.
 */
function machinePaths(text: string): [line: number, found: string][] {
  return matches(
    text,
    /(?<![\w.-])(\/Users\/\w+|\/home\/(?!(node|user|app|agent|ops|holdfast|alice|bob)\b)\w+|\/work\/(main|shared)\b|[A-Z]:\\Users\\\w+)/,
  );
}

function skips(file: string, text: string): [line: number, message: string][] {
  const found: [line: number, message: string][] = [];
  const { nodes, lineOf } = parse(file, text);
  for (const node of nodes) {
    if (node.type !== 'CallExpression') continue;
    const given = node['arguments'] as Node[];
    const { object, verb } = callee(node['callee'] as Node);
    const line = lineOf(node.start);
    if (!TESTERS.has(object)) continue;
    if (verb === 'only') found.push([line, `${object}.only: the others would not run`]);
    // `t.skip(reason)` inside a test takes a reason; `test.skip(name, …)` has no place for one.
    if (verb === 'skip' || verb === 'todo') {
      if (object !== 't') found.push([line, `${object}.${verb} has no place for a reason; use { ${verb}: 'why' }`]);
      else if (given.length === 0) found.push([line, `t.${verb}() without a reason`]);
    }
    for (const option of given.flatMap(optionsOf)) {
      const key = nameOf(option['key']);
      const value = (option['value'] as Node | undefined)?.['value'];
      if (key === 'only' && value === true) found.push([line, 'only: the others would not run']);
      if ((key === 'skip' || key === 'todo') && (value === true || value === '')) {
        found.push([line, `${key} without a reason; give it as a string`]);
      }
    }
  }
  return found;
}

function callee(node: Node): { object: string; verb: string } {
  if (node.type === 'Identifier') return { object: nameOf(node), verb: '' };
  if (node.type !== 'MemberExpression') return { object: '', verb: '' };
  return { object: nameOf(node['object']), verb: nameOf(node['property']) };
}

function optionsOf(argument: Node): Node[] {
  return argument.type === 'ObjectExpression' ? (argument['properties'] as Node[]) : [];
}
