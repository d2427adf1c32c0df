/**
 * Row 19 of the decision table: declared plugins go in and undeclared ones out, each by its own concern; then, if one that
 * changed needs it, one restart for all of them.
 */
import type { Case } from './case.ts';
import { UNSURE } from './model.ts';
import type { Proposal, Row } from './table.ts';

/** A plugin that failed before is not waited for again: what exists is started, and it is tried when that runs (L82). */
export const failedBefore = (c: Case, p: Proposal): boolean =>
  p.rule === 'plugins' && c.concern(p.concern).failures > 0;

/** Nor one that was called off, or had no good end, while a life that has ended still ran: what died is started first. */
export const isLeftForLater = (c: Case, p: Proposal): boolean =>
  p.type === 'install-plugin' &&
  c.concern(p.concern).failures === 0 &&
  c.inst.endedIncarnations.length > 0 &&
  (c.inst.plugins ?? []).some(({ source, ref }) => source === p.subject && ref === UNSURE);

/** It ran, should run, and does not: a fetch may take minutes, and what exists can be started at once (L82). */
export function isToBeHealed(c: Case): boolean {
  const { inst } = c;
  if (c.external || inst.desired !== 'running' || inst.completed || c.asleep) return false;
  const down = inst.resource?.state === 'stopped' || inst.resource?.state === 'missing';
  return down && !c.gaveUp('run') && c.past(c.concern('run').notBefore);
}

const RESTART_FOR_PLUGINS: Proposal = {
  type: 'restart',
  rule: 'plugins',
  concern: 'run',
  priority: 2,
  disrupts: true,
  waitsForIdle: true,
};

export const PLUGINS_ROW: Row = {
  id: 'plugins',
  sentence:
    'Declared and installed plugins differ: each is installed or uninstalled, by its own concern; then one restart for all that need it.',
  final: false,
  on: 'both',
  matches: (c) => c.pluginsDiffer() || c.restartDue(),
  phase: () => 'DEGRADED',
  proposals(c) {
    const { install, uninstall } = c.pluginChanges();
    const unsure = new Set(c.inst.plugins?.filter(({ ref }) => ref === UNSURE).map(({ source }) => source));
    const had = c.inst.plugins?.some(({ ref }) => ref !== UNSURE) ?? false;
    const propose =
      (type: 'install-plugin' | 'uninstall-plugin') =>
      (source: string): Proposal => ({
        type,
        rule: 'plugins',
        concern: `plugin:${source}`,
        priority: 2,
        subject: source,
        unstarted: !c.running,
        // What failed has changed nothing, and what was lost was there: to bring it disturbs nobody, and waits for no rollout.
        disrupts: had && !unsure.has(source) && c.concern(`plugin:${source}`).failures === 0,
      });
    const changes = [...install.map(propose('install-plugin')), ...uninstall.map(propose('uninstall-plugin'))];
    if (!c.restartDue()) return changes;
    // Last: whatever can go in now goes in before, so that one restart is for all of them; one that fails is not waited for.
    return [...changes, RESTART_FOR_PLUGINS];
  },
  facts: ({ inst }) => (inst.restartDueSeq === null ? [inst.specSeq] : [inst.specSeq, inst.restartDueSeq]),
  unless: (c) => (c.inst.spec.plugins.length === 0 ? 'no plugin is declared' : 'every declared plugin is installed'),
};
