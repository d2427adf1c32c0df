/**
 * Asks one thing of each of several instances and waits for all, a few at a time. A refusal of one (409) is its outcome,
 * not the end of the others.
 */
import type { CommandResult, WaitResult } from '../runtime/api.ts';
import { mapAtOnce } from './at-once.ts';
import type { Context } from './command.ts';
import { EXIT_NEGATIVE, EXIT_OK, ProblemFailure } from './failure.ts';
import { CALLS_AT_ONCE } from './limits.ts';
import { toneOf } from './render/colours.ts';
import { errorInWords, holdInWords } from './render/instances.ts';
import { plain } from './render/text.ts';

type Outcome = WaitResult['outcome'] | 'refused';

export interface Waited extends Omit<WaitResult, 'outcome'> {
  readonly instance: string;
  readonly outcome: Outcome;
  readonly because: string | null;
}

const CONFLICT = 409;

/** Prints each outcome as it is known; exit code 0 when all succeeded. */
export async function waitForEach(
  context: Context,
  names: readonly string[],
  call: (name: string) => Promise<WaitResult | CommandResult>,
): Promise<number> {
  if (names.length === 0 && !context.json) await context.note('No instance is like that; nobody was asked.');
  const waited = await mapAtOnce(names, CALLS_AT_ONCE, async (name): Promise<Waited> => {
    const outcome = await outcomeOf(name, names.length > 1, call);
    if (!context.json) await context.print(inWords(outcome, context));
    return outcome;
  });
  if (context.json) {
    const [first] = waited;
    await context.printJson(names.length === 1 ? first : { items: waited, next: null });
  }
  return waited.every(({ outcome }) => outcome === 'succeeded') ? EXIT_OK : EXIT_NEGATIVE;
}

async function outcomeOf(
  instance: string,
  several: boolean,
  call: (name: string) => Promise<WaitResult | CommandResult>,
): Promise<Waited> {
  try {
    const result = await call(instance);
    // 202: it was accepted, and had not settled when the time was up.
    if (!('outcome' in result))
      return { instance, outcome: 'timeout', phase: result.phase, lastError: null, hold: null, because: null };
    return { ...result, instance, because: null };
  } catch (error) {
    if (!several || !(error instanceof ProblemFailure) || error.problem.status !== CONFLICT) throw error;
    return { instance, outcome: 'refused', phase: null, lastError: null, hold: null, because: error.message };
  }
}

function inWords(waited: Waited, { paint, io }: Context): string {
  const { instance, outcome, phase, lastError, hold, because } = waited;
  const state = phase === null ? 'gone' : paint(toneOf(phase), phase);
  const why = [
    because === null ? null : plain(because),
    lastError === null ? null : errorInWords(lastError),
    hold === null ? null : holdInWords(hold, io.now()),
  ].filter((each) => each !== null);
  const reason = why.length === 0 ? '' : `: ${why.join('; ')}`;
  switch (outcome) {
    case 'succeeded':
      return `${instance}: ${state}`;
    case 'refused':
      return `${instance}: ${paint('warn', 'not accepted')}${reason}`;
    case 'timeout':
      return `${instance}: ${paint('warn', 'not settled in time')}, still ${state}${reason}; \`holdfast why ${instance}\` says more`;
    case 'failed':
    case 'held':
      return `${instance}: ${paint('bad', outcome)}, ${state}${reason}`;
  }
}
