/** A control that answers what is asked and does nothing: for a log that was exported, whose fleet runs elsewhere or no more. */
import { Refusal, type Control } from '../api.ts';

const LOOKS: ReadonlySet<keyof Control> = new Set([
  'deployment',
  'version',
  'fleets',
  'fleet',
  'manifest',
  'instances',
  'instance',
  'why',
  'events',
  'seqAt',
  'dryRun',
  'replay',
  'exportLog',
  'orphans',
  'ready',
  'metrics',
  'identify',
]);

export function lookingOnly(control: Control): Control {
  const refuse = (): never => {
    throw new Refusal(
      'conflict',
      'exported-log',
      'this is an exported log: it can be looked at and decided anew, but nothing can be done, and nothing more happens in it',
    );
  };
  return Object.fromEntries(
    Object.entries(control).map(([verb, answer]) => [verb, LOOKS.has(verb as keyof Control) ? answer : refuse]),
  ) as unknown as Control;
}
