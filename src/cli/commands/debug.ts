/** `dry-run`, `replay`, `verify`: the decision logic asked without changing anything. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { wordsOf } from '../../core/error-words.ts';
import type { Json, JsonObject } from '../../core/model.ts';
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_NEGATIVE, EXIT_OK, Failure } from '../failure.ts';
import { seqOrTime, wholeNumber } from '../options.ts';
import { dryRunInWords } from '../render/dry-run.ts';
import { progressInWords, replayInWords } from '../render/replay.ts';
import type { ReplayAnswer, ReplayBody } from '../replaying.ts';

const GROUP = 'Proof:';

interface ReplayOptions {
  readonly from?: string;
  readonly to?: string;
  readonly instance?: string;
  readonly policy?: string;
  readonly drop?: readonly number[];
  readonly edit?: readonly EditFile[];
  readonly skip?: number;
}

interface EditFile {
  readonly seq: number;
  readonly file: string;
}

export function registerDebug(session: Session): void {
  declare<{ observe?: boolean }>(session, session.program, {
    usage: 'dry-run',
    description: 'Shows what the next tick would do, and why, without doing it.',
    group: GROUP,
    examples: ['holdfast dry-run', 'holdfast dry-run --observe', 'holdfast dry-run -o json'],
    options: (command) => command.option('--observe', 'look at the targets first; nothing of what is seen is written'),
    run: async (context, _args, { observe = false }) => {
      const answer = await context.client().dryRun(await context.fleet(), observe);
      if (context.json) await context.printJson(answer);
      else await context.print(dryRunInWords(answer, context));
      return EXIT_OK;
    },
  });
  declare<ReplayOptions>(session, session.program, {
    usage: 'replay',
    description:
      'Decides the recorded events again, in memory, and compares. With --policy, --drop or --edit it is a what-if.',
    group: GROUP,
    examples: [
      'holdfast replay --from -2h',
      'holdfast replay --from 100 --to 200 --instance scribe',
      'holdfast replay --policy stricter.yaml --from -7d',
      'holdfast replay --drop 118 --edit 120=fact.json',
    ],
    options: (command) =>
      command
        .option('--from <position>', 'a seq, a time or an age such as -2h (default: the earliest reachable)')
        .option('--to <position>', 'a seq, a time or an age (default: now)')
        .option('--instance <name>', 'only its actions and differences')
        .option('--policy <file>', 'what if this had been the policy: YAML or JSON, as under "policy" in a manifest')
        .option('--drop <seq>', 'what if this fact had not been; may be repeated', seqs)
        .option('--edit <seq=file>', 'what if this fact had said what the file does (its data); may be repeated', edits)
        .option('--skip <n>', 'leave out so many items of each list: the pages before (for -o json)', wholeNumber),
    run: async (context, _args, options) => {
      const now = context.io.now();
      const { from, to, instance, policy, skip } = options;
      const edited = await editsOf(options, context);
      const answer = await replayed(context, {
        ...range(seqOrTime(from, now), seqOrTime(to, now)),
        ...(instance === undefined ? {} : { instance }),
        ...(policy === undefined ? {} : { policy: await policyOf(resolve(context.io.cwd, policy)) }),
        ...(edited.length === 0 ? {} : { edits: edited }),
        ...(skip === undefined ? {} : { skip }),
      });
      if (context.json) await context.printJson(answer);
      else await context.print(replayInWords(answer, context));
      return EXIT_OK;
    },
  });
  declare(session, session.program, {
    usage: 'verify',
    description:
      'Replays the whole history against this build: exit 1 if any decision would differ that this build does not declare as intended. The gate before an upgrade.',
    group: GROUP,
    examples: ['holdfast verify', 'holdfast verify -o json'],
    run: async (context) => {
      const answer = await replayed(context, {});
      if (context.json) await context.printJson(answer);
      else await context.print(replayInWords(answer, context));
      return answer.counts.unintended === 0 ? EXIT_OK : EXIT_NEGATIVE;
    },
  });
}

/** On a terminal it says how far it is, on a line that is gone in the end. */
async function replayed(context: Context, body: ReplayBody): Promise<ReplayAnswer> {
  const { io, json } = context;
  const live = io.tty && !json;
  let drawn = false;
  try {
    return await context.client().replay(await context.fleet(), body, async ({ doing, events, of }) => {
      if (!live) return;
      drawn = true;
      await io.err(`\r\u001b[K${progressInWords(doing, events, of)}`);
    });
  } finally {
    if (drawn) await io.err('\r\u001b[K');
  }
}

/** Left out where nothing was said. */
function range(from: number | string | null, to: number | string | null): Pick<ReplayBody, 'from' | 'to'> {
  return { ...(from === null ? {} : { from }), ...(to === null ? {} : { to }) };
}

const seqs = (text: string, before: readonly number[] = []): readonly number[] => [...before, wholeNumber(text)];

function edits(text: string, before: readonly EditFile[] = []): readonly EditFile[] {
  const [, seq, file] = /^(\d{1,15})=(.+)$/.exec(text) ?? [];
  if (seq === undefined || file === undefined)
    throw new InvalidArgumentError('expected SEQ=FILE, such as 120=fact.json');
  return [...before, { seq: Number(seq), file }];
}

async function editsOf(
  { drop = [], edit = [] }: ReplayOptions,
  { io }: Context,
): Promise<NonNullable<ReplayBody['edits']>> {
  const files = edit.map(async ({ seq, file }) => {
    const data = await documentIn(resolve(io.cwd, file));
    if (typeof data !== 'object' || data === null || Array.isArray(data))
      throw new Failure('invalid', `${file} does not hold the data of an event: expected an object`);
    return { seq, data: data as JsonObject };
  });
  return [...drop.map((seq) => ({ drop: seq })), ...(await Promise.all(files))];
}

/** In the words of a manifest; the server freezes it. */
async function policyOf(file: string): Promise<Json> {
  const value = await documentIn(file);
  const policy = (value as { policy?: Json } | null)?.policy;
  return policy ?? value;
}

async function documentIn(file: string): Promise<Json> {
  const { parse } = await import('yaml');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new Failure('unreadable', `${file} cannot be read: ${wordsOf(error)}`);
  }
  try {
    return parse(text) as Json;
  } catch (error) {
    throw new Failure('invalid', `${file} is no YAML or JSON: ${wordsOf(error)}`);
  }
}
