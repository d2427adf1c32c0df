/** `why`: the row of the decision table that an instance is in, what it rests on, and what would change it. */
import type { Why } from '../../runtime/api.ts';
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_OK } from '../failure.ts';
import { seqOrTime } from '../options.ts';
import { age, span } from '../render/ages.ts';
import { toneOf } from '../render/colours.ts';
import { holdInWords } from '../render/instances.ts';
import { plain } from '../render/text.ts';

export function registerWhy(session: Session): void {
  declare<{ at?: string }>(session, session.program, {
    usage: 'why <name>',
    description:
      'Says why an instance is in its phase: the rule, the facts it rests on, what holds it, what would change it.',
    group: 'Look:',
    examples: ['holdfast why scribe', 'holdfast why scribe --at 2h', 'holdfast why scribe --at 2026-01-01T10:00:00Z'],
    options: (command) => command.option('--at <time>', 'why it was so then: a time, an age such as 10m, or a seq'),
    run: async (context, args, { at }) => {
      const [name = ''] = args;
      const time = at === undefined ? null : String(seqOrTime(at, context.io.now()));
      const why = await context.client().why(await context.fleet(), name, time);
      if (context.json) await context.printJson(why);
      else await context.print(whyInWords(why, context));
      return EXIT_OK;
    },
  });
}

function whyInWords(why: Why, { paint, io }: Pick<Context, 'paint' | 'io'>): readonly string[] {
  const now = io.now();
  const lines = [
    `${paint('strong', why.instance)} is ${paint(toneOf(why.phase), why.phase)}, by row "${why.rule}": ${plain(why.text)}`,
  ];
  if (why.hold !== null) lines.push('', `It is ${holdInWords(why.hold, now)}`);
  if (why.facts.length > 0) {
    lines.push('', 'It rests on:');
    for (const fact of why.facts) {
      lines.push(`  #${fact.seq}  ${fact.type}, ${span(fact.ageMs)} before: ${plain(fact.text)}`);
    }
  }
  if (why.rejected.length > 0) {
    lines.push('', 'Rows before it do not match:');
    const width = Math.max(...why.rejected.map(({ rule }) => rule.length));
    for (const { rule, because } of why.rejected)
      lines.push(paint('faint', `  ${rule.padEnd(width)}  ${plain(because)}`));
  }
  if (why.wouldChange.length > 0)
    lines.push('', 'What would change it:', ...why.wouldChange.map((each) => `  - ${plain(each)}`));
  lines.push(
    '',
    why.nextLookAt === null ? 'It is looked at again when a fact arrives.' : `Next look: ${age(why.nextLookAt, now)}.`,
  );
  return lines;
}
