/** `events`: the log as it is, and as it grows. */
import type { EventView } from '../../runtime/api.ts';
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_OK, Interrupted } from '../failure.ts';
import { EVENTS_READ, EVENTS_SHOWN } from '../limits.ts';
import { timeOf, wholeNumber } from '../options.ts';
import { readEvents, type Stretch } from '../read-events.ts';
import { clock } from '../render/ages.ts';
import { byInWords, concerns, eventInWords } from '../render/events.ts';
import { cut } from '../render/text.ts';

interface Options {
  readonly follow?: boolean;
  readonly instance?: string;
  readonly after?: number;
  readonly since?: string;
}

export function registerEvents(session: Session): void {
  declare<Options>(session, session.program, {
    usage: 'events',
    description: 'Shows the last events of a fleet; -f goes on with each new one.',
    group: 'Look:',
    examples: [
      'holdfast events -f',
      'holdfast events --instance scribe --since 1h',
      'holdfast events --after 0 -o json',
    ],
    options: (command) =>
      command
        .option('-f, --follow', 'go on with each new event until Ctrl-C')
        .option('--instance <name>', 'only what concerns this instance')
        .option('--after <seq>', `only events after this position (default: the last ${EVENTS_SHOWN})`, wholeNumber)
        .option('--since <time>', 'only events since then: a time, or an age such as 1h'),
    run: async (context, _args, options) => {
      const fleet = await context.fleet();
      const client = context.client();
      const { instance = null, follow = false } = options;
      const { head } = await client.fleet(fleet);
      const { start, shown } = startOf(options, context, head);
      const all: EventView[] = [];
      let last = 'after' in start ? start.after : 0;
      const bound = (): Promise<void> =>
        context.note(`There is more: ${EVENTS_READ} events were read; go on with --after ${last}.`);
      for await (const page of readEvents(client, fleet, { start, instance }, bound)) {
        last = page.at(-1)?.seq ?? last;
        if (shown !== null || (context.json && !follow)) all.push(...page);
        else await printEvents(context, page, instance);
        if (shown !== null) all.splice(0, all.length - shown);
      }
      if (shown !== null && (follow || !context.json)) await printEvents(context, all, instance);
      last = Math.max(last, instance === null ? 0 : head);
      if (!follow) {
        if (context.json) await context.printJson({ items: all, next: null });
        return EXIT_OK;
      }
      try {
        const lost = (): Promise<void> => context.note('The connection was lost; opening it again …');
        for await (const event of client.watch(fleet, last, lost)) {
          if (instance === null || concerns(event, instance)) await printEvents(context, [event], instance);
        }
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error;
      }
      return EXIT_OK;
    },
  });
}

/** Where to begin, and how many of the last ones to show; null: all that are found. */
function startOf(options: Options, context: Context, head: number): { start: Stretch['start']; shown: number | null } {
  if (options.after !== undefined) return { start: { after: options.after }, shown: null };
  if (options.since !== undefined) return { start: { from: timeOf(options.since, context.io.now()) }, shown: null };
  if (options.instance === undefined) return { start: { after: Math.max(0, head - EVENTS_SHOWN) }, shown: null };
  // Its last ones may lie far back.
  return { start: { after: 0 }, shown: EVENTS_SHOWN };
}

/** For programs one object a line, so that a stream can be read as it comes. */
async function printEvents(
  { io, json, paint, width, print }: Context,
  events: readonly EventView[],
  only: string | null,
): Promise<void> {
  if (events.length === 0) return;
  await print(
    events.map((event) => {
      if (json) return JSON.stringify(event);
      const head = `#${event.seq}  ${clock(event.at, io.now())}  ${event.type}`;
      const tail = `${event.instance === undefined ? '' : `${event.instance}: `}${eventInWords(event, only)}${byInWords(event.by)}`;
      const room = width === null ? Number.POSITIVE_INFINITY : Math.max(20, width - head.length - 2);
      const line = `${head}  ${cut(tail, room)}`;
      return event.type === 'flap.observed' ? paint('warn', line) : line;
    }),
  );
}
