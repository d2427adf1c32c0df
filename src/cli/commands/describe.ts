/** `describe`: everything known of one instance. */
import type { InstanceView } from '../../runtime/api.ts';
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_OK } from '../failure.ts';
import { age } from '../render/ages.ts';
import { toneOf } from '../render/colours.ts';
import { errorInWords, holdInWords } from '../render/instances.ts';
import { table } from '../render/table.ts';
import { brief, plain, shortHash } from '../render/text.ts';

export function registerDescribe(session: Session): void {
  declare(session, session.program, {
    usage: 'describe <name>',
    description: 'Shows everything known of one instance: conditions, resource, operation, errors, hashes, spec.',
    group: 'Look:',
    examples: ['holdfast describe scribe'],
    run: async (context, args) => {
      const [name = ''] = args;
      const view = await context.client().instance(await context.fleet(), name);
      if (context.json) {
        await context.printJson(view);
        return EXIT_OK;
      }
      await context.print(describeInWords(view, context));
      if (view.spec != null) {
        const { stringify } = await import('yaml');
        await context.print([
          '',
          context.paint('strong', 'Spec'),
          ...indent(stringify(view.spec).trimEnd().split('\n')),
        ]);
      }
      return EXIT_OK;
    },
  });
}

function describeInWords(
  view: InstanceView,
  { paint, io, width }: Pick<Context, 'paint' | 'io' | 'width'>,
): readonly string[] {
  const now = io.now();
  const heading = (text: string): readonly string[] => ['', paint('strong', text)];
  const lines = [
    ...fields([
      ['Instance', `${view.fleet}/${view.name} (uid ${view.uid}, generation ${view.generation})`],
      ['Phase', `${paint(toneOf(view.phase), view.phase)}, since ${age(view.since, now)}`],
      ['Because', `${plain(view.reason.text)} (row "${view.reason.rule}")`],
      ['Desired', view.desired],
      ['Target', view.target === view.targetType ? view.target : `${view.target} (${view.targetType})`],
      ['Lifecycle', view.lifecycle],
      ['Labels', pairs(view.labels)],
      ['Restarts', `${view.restarts.crashes} by crashes, ${view.restarts.planned} planned`],
      ['Operation', operationOf(view, now)],
      [
        'Last error',
        view.lastError === null
          ? null
          : paint('bad', `${errorInWords(view.lastError)} (${age(view.lastError.at, now)})`),
      ],
      ['Held', view.hold === null ? null : paint('warn', holdInWords(view.hold, now))],
      ['Next look', view.nextLookAt === null ? null : age(view.nextLookAt, now)],
    ]),
    ...heading('Resource'),
    ...indent(
      view.resource === null
        ? ['none']
        : fields(
            Object.entries(view.resource).map(([key, value]) => [
              key,
              key === 'since' ? age(String(value), now) : brief(value),
            ]),
          ),
    ),
    ...indent(fields([['endpoints', pairs(view.endpoints)]])),
    ...heading('Conditions'),
    ...indent(
      table(
        ['TYPE', 'STATUS', 'SINCE', 'MESSAGE'],
        view.conditions.map((each) => [
          each.type,
          { text: each.status, tone: each.status === 'true' ? 'good' : each.status === 'false' ? 'bad' : 'doubt' },
          age(each.since, now),
          each.message === '' ? each.reason : `${each.reason}: ${each.message}`,
        ]),
        paint,
        width === null ? null : width - 2,
      ),
    ),
    ...heading('As declared, and as it is'),
    ...indent(
      fields(
        Object.entries(view.hashes).flatMap(([part, hash]) =>
          hash == null ? [] : [[part, hashInWords(hash)] as const],
        ),
      ),
    ),
  ];
  if (view.heartbeat !== null)
    lines.push(
      ...heading('Heartbeat'),
      ...indent(
        fields(
          Object.entries(view.heartbeat).map(([key, value]) => [
            key,
            key === 'lastAt' ? age(String(value), now) : brief(value),
          ]),
        ),
      ),
    );
  if (view.plugins.length > 0) {
    lines.push(...heading('Plugins'));
    const rows = view.plugins.map((each) => [
      each.source,
      each.ref ?? '–',
      each.sha ?? '–',
      each.state,
      each.error ?? '',
    ]);
    lines.push(
      ...indent(table(['SOURCE', 'REF', 'SHA', 'STATE', 'ERROR'], rows, paint, width === null ? null : width - 2)),
    );
  }
  return lines;
}

function operationOf(view: InstanceView, now: number): string | null {
  if (view.operation === null) return null;
  const { kind, attempt, startedAt, deadlineAt } = view.operation;
  return `${kind}, attempt ${attempt}, since ${age(startedAt, now)}, deadline ${age(deadlineAt, now)}`;
}

/** `Name:  value`, aligned; null values are left out. */
function fields(all: readonly (readonly [name: string, value: string | null])[]): readonly string[] {
  const shown = all.filter(([, value]) => value !== null && value !== '');
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${`${name}:`.padEnd(width + 1)}  ${value}`);
}

function pairs(values: object): string | null {
  const all = Object.entries(values).filter(([, value]) => value != null);
  return all.length === 0 ? null : all.map(([key, value]) => `${plain(key)}=${brief(value)}`).join(' ');
}

/** Whether what is in force is what is declared; the hashes themselves where it is not. What was never looked at is null. */
function hashInWords(hash: { readonly declared: string | null; readonly applied: string | null }): string | null {
  const { declared, applied } = hash;
  if (declared === null && applied === null) return null;
  const same = applied === declared && Object.values(hash).every((each) => each === declared || each === null);
  if (same) return `as declared (${shortHash(String(declared))})`;
  return Object.entries(hash)
    .map(([name, each]) => `${name} ${each === null ? 'nothing' : shortHash(each)}`)
    .join(', ');
}

function indent(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}
