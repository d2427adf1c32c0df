/** What dry runs and replays answer: the shapes that are documented, checked by the compiler against what the control gives. */
import { z } from '@hono/zod-openapi';
import type { DryRun } from '../runtime/api.ts';
import { json, maybe, rule, says, time } from './answers.ts';
import { phase } from './fields.ts';

export const dryRun = says<DryRun>()(
  z
    .object({
      now: time,
      head: z.int(),
      pendingFacts: z.int().openapi({ description: 'Facts that the loop had not taken in; all are included' }),
      facts: z
        .array(z.object({ type: z.string(), instance: maybe, text: z.string() }))
        .openapi({ description: 'Facts that are not in the log: not written yet, or seen by the look' }),
      observed: z
        .array(z.object({ target: z.string(), items: z.int(), error: maybe }))
        .nullable()
        .openapi({ description: 'The look at each target, if asked for' }),
      actions: z.array(z.object({ instance: z.string(), type: z.string(), reason: rule, facts: z.array(z.int()) })),
      transitions: z.array(z.object({ instance: z.string(), from: phase, to: phase, rule: z.string() })),
      holds: z.array(z.object({ instance: z.string(), reason: maybe, text: maybe, until: time.nullable() })),
    })
    .openapi('DryRun'),
);

const tally = z
  .record(z.string(), z.int())
  .openapi({ description: 'How many of each kind; what did not occur is left out' });
const sides = z.object({ computed: tally, recorded: tally });
const replayedAction = z.object({ seq: z.int(), at: time, instance: z.string(), type: z.string(), rule: z.string() });
const atEnd = {
  actions: z.array(z.object({ instance: z.string(), type: z.string(), rule: z.string() })),
  transitions: z.array(z.object({ instance: z.string(), from: phase, to: phase, rule: z.string() })),
  phases: z.partialRecord(phase, z.int()),
};

export const replayed = z
  .object({
    kind: z.enum(['replay', 'what-if']),
    openLoop: z
      .boolean()
      .openapi({ description: 'A what-if: the recorded world did not answer to what is only computed' }),
    from: time,
    to: time,
    fromSeq: z.int(),
    toSeq: z.int(),
    snapshotSeq: z.int().openapi({ description: 'Where its state was taken from; 0: from nothing' }),
    events: z.int(),
    ticks: z.int(),
    logics: z.array(z.int()).openapi({ description: 'Versions of the decision logic that recorded it' }),
    quarantined: z.int().openapi({ description: 'Rows that could not be read' }),
    actions: z.array(replayedAction),
    recorded: z.array(replayedAction),
    differences: z.array(json),
    next: z.int().nullable().openapi({ description: 'The `skip` of the next page of the lists' }),
    counts: z.object({
      computed: tally,
      recorded: tally,
      transitions: sides,
      differences: z.int(),
      unintended: z.int().openapi({ description: 'Differences that this build does not declare' }),
    }),
    phases: z.partialRecord(phase, z.int()),
    decidedAtEnd: z.object(atEnd).openapi({ description: 'What would be decided at the end' }),
  })
  .openapi('Replay');
