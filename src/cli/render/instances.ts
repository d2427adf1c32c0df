/** Instances as people read them: the one line of `get`, and why one is not as it should be. */
import type { InstanceView } from '../../runtime/api.ts';
import { age } from './ages.ts';
import { toneOf, type Paint } from './colours.ts';
import { table, type Row } from './table.ts';
import { count, plain } from './text.ts';

const HEADS = ['NAME', 'PHASE', 'SINCE', 'LIFECYCLE', 'TARGET', 'GEN', 'CRASHES', 'REASON'];

export function instanceTable(
  instances: readonly InstanceView[],
  paint: Paint,
  width: number | null,
  now: number,
): readonly string[] {
  const rows = instances.map((each): Row => [
    each.name,
    { text: each.phase, tone: toneOf(each.phase) },
    age(each.since, now),
    each.lifecycle,
    each.target,
    String(each.generation),
    each.restarts.crashes === 0 ? '0' : { text: String(each.restarts.crashes), tone: 'warn' },
    each.lastError === null ? reasonOf(each, now) : { text: reasonOf(each, now), tone: 'bad' },
  ]);
  return table(HEADS, rows, paint, width);
}

/** The one thing to know: what holds it, else its error, else its row. An old error must not hide why nothing is done now. */
export function reasonOf(view: Pick<InstanceView, 'lastError' | 'hold' | 'reason'>, now: number): string {
  if (view.hold !== null) {
    const after = view.lastError === null ? '' : `; last error: ${errorInWords(view.lastError)}`;
    return `${holdInWords(view.hold, now)}${after}`;
  }
  if (view.lastError !== null) return errorInWords(view.lastError);
  return plain(view.reason.text);
}

export function errorInWords(error: NonNullable<InstanceView['lastError']>): string {
  return `${error.code}: ${plain(error.message)}`;
}

export function holdInWords(hold: NonNullable<InstanceView['hold']>, now: number): string {
  const until = hold.until === null ? '' : ` (${age(hold.until, now)})`;
  return `held (${hold.reason}): ${plain(hold.text)}${until}`;
}

/** "12 instances: 10 RUNNING, 2 ERROR; 1 more with an unresolved error". An error in any phase is counted. */
export function summary(instances: readonly InstanceView[]): string {
  const phases = new Map<string, number>();
  for (const { phase } of instances) phases.set(phase, (phases.get(phase) ?? 0) + 1);
  const parts = [...phases].sort(([, a], [, b]) => b - a).map(([phase, number]) => `${number} ${phase}`);
  const errors = instances.filter((each) => each.lastError !== null && each.phase !== 'ERROR').length;
  const more = errors === 0 ? '' : `; ${errors} more with an unresolved error`;
  return `${count(instances.length, 'instance')}${parts.length === 0 ? '' : `: ${parts.join(', ')}`}${more}`;
}
