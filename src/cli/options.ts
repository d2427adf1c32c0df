/** What options and arguments mean; a value that means nothing is said before anything is sent. */
import { InvalidArgumentError, Option } from 'commander';
import { PHASES, type Phase } from '../core/model.ts';
import { formatDuration, parseDuration } from '../core/units.ts';
import type { Selector } from '../runtime/api.ts';
import { MAX_WAIT_MS } from '../runtime/limits.ts';
import { Failure } from './failure.ts';
import { WAIT_DEFAULT_MS, WAIT_MAX_MS } from './limits.ts';

/** "30s", "5m", "2h" → ms. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === null || ms === 0) throw new InvalidArgumentError('expected a time with its unit, such as 30s, 5m or 2h');
  return ms;
}

export function waitTime(text: string): number {
  const ms = duration(text);
  if (ms > WAIT_MAX_MS) throw new InvalidArgumentError('at most 24h');
  return ms;
}

/** For waits that the server does: it has a longest one. */
export function serverWait(text: string): number {
  const ms = duration(text);
  if (ms > MAX_WAIT_MS) throw new InvalidArgumentError(`at most ${formatDuration(MAX_WAIT_MS)}`);
  return ms;
}

/** `--timeout`, read by `waitTime` or `serverWait`. */
export function timeoutOption(read: (text: string) => number, description: string): Option {
  return new Option('--timeout <time>', description)
    .argParser(read)
    .default(WAIT_DEFAULT_MS, formatDuration(WAIT_DEFAULT_MS));
}

export function wholeNumber(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number)) throw new InvalidArgumentError('expected a whole number');
  return number;
}

export function phase(text: string): Phase {
  const found = PHASES.find((each) => each === text.toUpperCase());
  if (found === undefined) throw new InvalidArgumentError(`phases are ${PHASES.join(', ')}`);
  return found;
}

/** `-l a=1 -l b=2` and `-l a=1,b=2`: all of them must hold. */
export function labels(
  text: string,
  previous: { readonly [key: string]: string } = {},
): { readonly [key: string]: string } {
  const all = { ...previous };
  for (const pair of text.split(',')) {
    const equals = pair.indexOf('=');
    if (equals < 1) throw new InvalidArgumentError('expected key=value');
    all[pair.slice(0, equals)] = pair.slice(equals + 1);
  }
  return all;
}

/** "2026-01-01T10:00:00Z", anything else that JavaScript reads as a time, or an age: "10m", "-10m", "10m ago" → ISO. */
export function timeOf(text: string, now: number): string {
  const ago = parseDuration(text.replace(/^-/, '').replace(/\s+ago$/, ''));
  const at = ago === null ? Date.parse(text) : now - ago;
  if (Number.isNaN(at)) {
    throw new Failure(
      'usage',
      `${JSON.stringify(text)} is no time: expected 2026-01-01T10:00:00Z, or an age such as 10m`,
    );
  }
  return new Date(at).toISOString();
}

/** A position in the log (17) or a time. */
export function seqOrTime(text: string | undefined, now: number): number | string | null {
  if (text === undefined) return null;
  return /^\d{1,15}$/.test(text) ? Number(text) : timeOf(text, now);
}

export interface SelectOptions {
  readonly label?: { readonly [key: string]: string };
  readonly phase?: Phase;
  readonly all?: boolean;
}

/** Who is meant; never everybody by leaving something out. */
export function selection(names: readonly string[], options: SelectOptions): Selector {
  const select: Selector = {
    ...(names.length === 0 ? {} : { names }),
    ...(options.label === undefined ? {} : { labels: options.label }),
    ...(options.phase === undefined ? {} : { phase: options.phase }),
  };
  const narrowed = Object.keys(select).length > 0;
  if (!narrowed && options.all !== true) {
    throw new Failure('usage', 'Which instances? Say their names, -l key=value, --phase PHASE, or --all.');
  }
  if (narrowed && options.all === true)
    throw new Failure('usage', '--all means every instance: leave out the rest, or leave out --all.');
  return select;
}
