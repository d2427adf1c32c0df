/** Convergence as people follow it: one line for each change, or on a terminal one table drawn anew. */
import type { Context } from '../command.ts';
import type { Outcome, Standing } from '../converge.ts';
import { LIVE_ROWS } from '../limits.ts';
import { span } from './ages.ts';
import { toneOf, type Tone } from './colours.ts';
import { reasonOf } from './instances.ts';
import { liveBlock } from './live.ts';
import { table } from './table.ts';
import { count } from './text.ts';

export type OnLook = (all: readonly Standing[], changed: readonly Standing[]) => Promise<void>;

/** What fits the output: nothing for programs, a table on a terminal, lines elsewhere. */
export function progress(context: Context): OnLook {
  if (context.json) return async () => undefined;
  if (!context.io.tty) {
    const said = new Map<string, string>();
    return async (_all, changed) => {
      for (const standing of changed) {
        const line = changeInWords(standing, context);
        if (said.get(standing.name) !== line) await context.print(line);
        said.set(standing.name, line);
      }
    };
  }
  const block = liveBlock(context.io);
  const started = context.io.elapsed();
  return async (all) => {
    await block.draw(liveLines(all, context, context.io.elapsed() - started));
  };
}

/** `scribe: RECONCILING: …`, and how it came out once it has. */
function changeInWords({ name, view, leaving, outcome }: Standing, { paint, io }: Context): string {
  if (view === null) return `${name}: ${leaving ? 'gone' : 'not there yet'}`;
  const phase = paint(toneOf(view.phase), view.phase);
  return `${name}: ${phase}${outcome === null || outcome === 'settled' ? '' : ` (${outcome})`}: ${reasonOf(view, io.now())}`;
}

/** Who has not settled, and why: the last words of a wait that went wrong. */
export function unsettledInWords(all: readonly Standing[], context: Context): readonly string[] {
  const unsettled = all.filter(({ outcome }) => outcome !== 'settled');
  if (unsettled.length === 0)
    return [context.paint('good', `All ${all.length === 1 ? 'is' : `${all.length} are`} as declared.`)];
  return [
    context.paint('bad', `${count(unsettled.length, 'instance')} of ${all.length} not as declared:`),
    ...unsettled.map((each) => `  ${each.outcome === 'timeout' ? 'not in time: ' : ''}${changeInWords(each, context)}`),
    `\`holdfast why ${unsettled[0]?.name ?? 'NAME'}\` says more.`,
  ];
}

function liveLines(all: readonly Standing[], { paint, width, io }: Context, elapsedMs: number): readonly string[] {
  // Whoever needs attention first: the settled ones are the ones to leave out.
  const shown = [...all].sort((a, b) => rank(a.outcome) - rank(b.outcome)).slice(0, LIVE_ROWS);
  const rows = shown.map(({ name, view, leaving, outcome }) => [
    name,
    view === null
      ? { text: leaving ? 'gone' : 'not there yet', tone: 'faint' as Tone }
      : { text: view.phase, tone: toneOf(view.phase) },
    view === null
      ? ''
      : `${outcome === null || outcome === 'settled' ? '' : `${outcome}: `}${reasonOf(view, io.now())}`,
  ]);
  const settled = all.filter(({ outcome }) => outcome === 'settled').length;
  const more = all.length - shown.length;
  return [
    ...table(['NAME', 'PHASE', 'REASON'], rows, paint, width),
    paint(
      'faint',
      `${settled} of ${all.length} as declared, ${span(elapsedMs)}${more > 0 ? `; ${more} more not shown` : ''}`,
    ),
  ];
}

function rank(outcome: Outcome | null): number {
  if (outcome === 'failed' || outcome === 'held' || outcome === 'timeout') return 0;
  return outcome === null ? 1 : 2;
}
