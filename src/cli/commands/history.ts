/** `history`: what happened to one instance, one line for each turn of events, with who asked for it. */
import { declare, type Session } from '../command.ts';
import { EXIT_OK } from '../failure.ts';
import { EVENTS_READ } from '../limits.ts';
import { timeOf } from '../options.ts';
import { readEvents } from '../read-events.ts';
import { clock } from '../render/ages.ts';
import { byInWords, eventInWords } from '../render/events.ts';
import type { EventView } from '../../runtime/api.ts';

const DEFAULT_SINCE = '24h';

/** What a reader calls each turn. */
const WORDS: { readonly [type: string]: string } = {
  'spec.applied': 'declared',
  'spec.deleted': 'asked',
  'command.issued': 'asked',
  'resource.observed': 'seen',
  'operation.ended': 'ended',
  'agent.reported': 'agent',
  'flap.observed': 'flap',
  'tick.decided': 'decided',
  'probe.answered': 'probe',
  'event.quarantined': 'damaged',
  'invariant.broken': 'fault',
};

export function registerHistory(session: Session): void {
  declare<{ since: string }>(session, session.program, {
    usage: 'history <name>',
    description: 'Tells what happened to an instance, one line for each turn of events, with who asked.',
    group: 'Look:',
    examples: ['holdfast history scribe', 'holdfast history scribe --since 1h'],
    options: (command) => command.option('--since <time>', 'from when on: a time, or an age such as 1h', DEFAULT_SINCE),
    run: async (context, args, { since }) => {
      const [name = ''] = args;
      const fleet = await context.fleet();
      const client = context.client();
      const now = context.io.now();
      const all: EventView[] = [];
      let found = 0;
      const operations = new Map<string, string>();
      const bound = (): Promise<void> =>
        context.note(`Only the first ${EVENTS_READ} events since then were read; say a later --since.`);
      for await (const page of readEvents(
        client,
        fleet,
        { start: { from: timeOf(since, now) }, instance: name },
        bound,
      )) {
        found += page.length;
        if (context.json) all.push(...page);
        else if (page.length > 0) await context.print(page.map((event) => lineOf(event, name, now, operations)));
      }
      // One that is gone has a history, too; a name that never was is said, instead of shown as one to which nothing happened.
      if (found === 0) {
        await client.instance(fleet, name);
        await context.note(`Nothing happened to ${name} since then.`);
      }
      if (context.json) await context.printJson({ items: all, next: null });
      return EXIT_OK;
    },
  });
}

/** `operations`: the kind of each that was decided so far, since its end names it by its id alone. */
function lineOf(event: EventView, name: string, now: number, operations: Map<string, string>): string {
  const word = WORDS[event.type] ?? event.type;
  for (const [id, kind] of operationsIn(event)) operations.set(id, kind);
  const { operation } = event.data as { operation?: string };
  const kind = event.type === 'operation.ended' ? operations.get(operation ?? '') : undefined;
  const what = kind === undefined ? '' : `${kind} `;
  return `${clock(event.at, now)}  ${word.padEnd(8)}  ${what}${eventInWords(event, name)}${byInWords(event.by)}`;
}

function operationsIn({ type, data }: EventView): readonly (readonly [id: string, kind: string])[] {
  if (type !== 'tick.decided') return [];
  const { actions = [] } = data as { actions?: readonly { operation?: string; type: string }[] };
  return actions.flatMap((each) =>
    each.operation === undefined || each.type === 'abort' || each.type === 'abandon'
      ? []
      : [[each.operation, each.type]],
  );
}
