/**
 * The decision table as a page: `docs/decision-table.md` is made from this, from the very rows that decide.
 */
import { TABLE, type Row, type RowId } from './table.ts';
import type { Phase } from './model.ts';

/** The phases each row can give; a test holds the rows to it. `below`: it leaves the phase to the rows below. */
export const PHASES_OF_ROW: { readonly [R in RowId]: readonly (Phase | 'below')[] } = {
  operating: ['DELETING', 'RECONCILING', 'below'],
  deleting: ['DELETING'],
  unseen: ['UNKNOWN', 'DEGRADED', 'ERROR'],
  'stop-asked': ['RECONCILING', 'PENDING'],
  stopped: ['STOPPED'],
  offline: ['CREATING', 'OFFLINE'],
  'gave-up': ['ERROR'],
  create: ['CREATING'],
  missing: ['PENDING'],
  asleep: ['SLEEPING'],
  changing: ['RECONCILING', 'DEGRADED'],
  start: ['PENDING'],
  update: ['PENDING', 'ERROR'],
  'restart-asked': ['RECONCILING', 'PENDING'],
  starting: ['RECONCILING'],
  idle: ['RECONCILING', 'PENDING'],
  silent: ['DEGRADED'],
  config: ['DEGRADED', 'ERROR'],
  plugins: ['DEGRADED'],
  'agent-degraded': ['DEGRADED'],
  running: ['RUNNING'],
  unclassified: ['DEGRADED'],
};

const APPLIES_TO: { readonly [on in Row['on']]: string } = { managed: 'managed', external: 'external', both: 'all' };

const HEAD = `# The decision table

Made from \`src/core/table.ts\` by \`npm run docs\`; do not edit.

An instance goes down the table. The first row that matches gives its phase, and the hold that is shown. A row that *ends the
search* also has the last word on the action; behind the others, the search goes on to the first matching row whose gates are
open. *External* instances run elsewhere and are known by their heartbeats; *managed* ones run on a target.
`;

export function decisionTableMarkdown(): string {
  const rows = TABLE.map((row, index) => [
    String(index + 1),
    `\`${row.id}\``,
    row.sentence,
    PHASES_OF_ROW[row.id].map((phase) => (phase === 'below' ? 'as below' : phase)).join(', '),
    row.final ? 'yes' : 'no',
    APPLIES_TO[row.on],
  ]);
  const head = ['#', 'row', 'when, and what then', 'phase', 'ends the search', 'applies to'];
  return `${HEAD}\n${[head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(escape).join(' | ')} |`).join('\n')}\n`;
}

const escape = (cell: string): string => cell.replaceAll('|', '\\|');
