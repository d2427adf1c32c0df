/** What applying a manifest does or would do, instance by instance, and what it leaves alone. */
import type { Context } from '../command.ts';
import type { ApplyResult } from '../../runtime/api.ts';
import type { Tone } from './colours.ts';
import { brief, count, cut, names, plain, shortHash } from './text.ts';

type Change = ApplyResult['results'][number];

const VALUE_CHARS = 60;

const EFFECTS: { readonly [effect in Change['effect']]: string } = {
  none: 'nothing that runs is touched',
  config: 'its config is applied as it runs',
  restart: 'it restarts',
  recreate: 'it is recreated, its data kept',
  delete: 'it is deleted',
};

export function planInWords(
  result: ApplyResult,
  fleet: string,
  file: string,
  { paint }: Pick<Context, 'paint'>,
): readonly string[] {
  const changes = result.results.filter((each) => each.result !== 'unchanged' && each.result !== 'undeclared');
  const undeclared = result.results.filter((each) => each.result === 'undeclared').map(({ name }) => name);
  const unchanged = result.results.length - changes.length - undeclared.length;
  const lines = changes.flatMap((change) => changeLines(change, result.dryRun, paint));
  for (const each of result.results) {
    if (each.note !== null && (each.result === 'unchanged' || each.result === 'undeclared'))
      lines.push(`${each.name}: ${plain(each.note)}`);
  }
  const counts = new Map<string, number>();
  for (const { result: what } of changes) counts.set(what, (counts.get(what) ?? 0) + 1);
  const parts = [...counts].map(([what, number]) => `${number} ${what}`);
  lines.push(
    `Fleet ${fleet}${result.dryRun ? ' (dry run)' : ''}: ${[...parts, `${unchanged} unchanged`].join(', ')}; revision ${shortHash(result.revision)}.`,
  );
  if (undeclared.length > 0) {
    lines.push(
      paint(
        'warn',
        `${count(undeclared.length, 'instance')} no longer in the file and left as ${undeclared.length === 1 ? 'it is' : 'they are'}: ${names(undeclared)}.`,
      ),
      `To delete ${undeclared.length === 1 ? 'it' : 'them'}: holdfast apply -f ${file} --prune ${undeclared.length}`,
    );
  }
  for (const problem of result.problems) {
    lines.push(
      paint(
        'bad',
        `Refused as it is: ${problem.instance === null ? '' : `${problem.instance}: `}${plain(problem.message)}`,
      ),
    );
  }
  return lines;
}

function changeLines(change: Change, dryRun: boolean, paint: Context['paint']): readonly string[] {
  const { name, result, effect, because, diff, note } = change;
  const word =
    result === 'created' ? (dryRun ? 'would be created' : 'created') : dryRun ? `would be ${result}` : result;
  const what =
    result === 'created'
      ? ''
      : `: ${EFFECTS[effect]}${because.length === 0 ? '' : `, because of ${because.join(', ')}`}`;
  return [
    `${paint(toneOf(change), mark(change))} ${paint('strong', name)} ${word}${what}`,
    ...(result === 'updated' ? diff.map(({ path, from, to }) => `    ${path}: ${value(from)} → ${value(to)}`) : []),
    ...(note === null ? [] : [`    ${plain(note)}`]),
  ];
}

function mark({ result }: Change): string {
  return result === 'created' ? '+' : result === 'pruned' ? '-' : '~';
}

function toneOf({ result, effect }: Change): Tone {
  if (result === 'pruned') return 'bad';
  if (result === 'created') return 'good';
  return effect === 'recreate' || effect === 'restart' ? 'warn' : 'work';
}

function value(of: unknown): string {
  return of === null ? '–' : cut(brief(of), VALUE_CHARS);
}
