/**
 * What the seeds of the suite must contain, in the words of the census: if something here stops occurring, the simulation
 * has stopped testing it.
 */
const each = (prefix: string, words: string): readonly string[] => words.split(' ').map((word) => `${prefix} ${word}`);

/** In a tenth of the seeds at least. */
export const COMMON: readonly string[] = [
  ...each(
    'action',
    'provision start stop sleep restart update destroy apply-config persist-config install-plugin uninstall-plugin probe',
  ),
  ...each('action', 'abort abandon forget forgive rollout-proved rollout-failed rollout-left'),
  ...each('phase', 'CREATING PENDING RECONCILING RUNNING DEGRADED SLEEPING STOPPED UNKNOWN OFFLINE ERROR DELETING'),
  ...each('hold', 'unsynced target-stale quarantined conflict operator-hold breaker blast-radius backoff gave-up'),
  ...each('hold', 'rollout rollout-failed budget busy predecessor'),
  ...each('outcome', 'succeeded failed timed-out aborted'),
  ...each('abort for', 'deadline stop delete forget'),
  ...each('exit', 'crash planned oom killed config-invalid completed unknown'),
  ...each('flap', 'container_stopped container_missing'),
  ...each('report', 'first silent recovered degraded well busy idle version'),
  ...each('verb', 'reconcile stop resume restart wake sleep hold release override'),
  ...each(
    'event',
    'owner.started manifest.applied policy.changed spec.applied spec.deleted command.issued secret.rotated',
  ),
  ...each(
    'event',
    'target.synced target.stale target.refused target.cleared resource.observed sweep.completed operation.ended',
  ),
  ...each(
    'event',
    'agent.reported work.began work.ended config.observed plugins.observed plugin.ref-moved probe.answered',
  ),
  ...each('event', 'event.quarantined tick.decided flap.observed'),
  ...each('failure transient of instance:', 'flaky lost-answer'),
  'failure terminal of instance: refused',
  'failure terminal of instance: bad-image',
  'failure conflict of instance: changed',
  ...each('failure transient of target:', 'down engine'),
  ...each('action restart by', 'silent agent-degraded changing restart-asked'),
  'action stop by gave-up',
];

/** In one seed at least. */
export const RARE: readonly string[] = [
  'hold target-refused',
  'abandon for deadline',
  'abandon for stop',
  'failure conflict of instance: busy',
];
