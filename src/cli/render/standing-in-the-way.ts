/**
 * What of the fleet as a whole keeps things from being done: holds of operators, targets in trouble, a rollout that failed.
 * Said beside the instances, since most of them show nothing of it until something is to be done for them.
 */
import type { FleetView } from '../../runtime/api.ts';
import { age } from './ages.ts';
import { count, names, plain } from './text.ts';

export function standingInTheWay(
  fleet: Pick<FleetView, 'holds' | 'targets' | 'rollout'>,
  now: number,
): readonly string[] {
  return [
    ...fleet.holds.map((hold) => {
      const until = hold.until === null ? '' : `, ending ${age(hold.until, now)}`;
      return `On hold (${scope(hold)})${until}: ${plain(hold.reason)}. "holdfast release" lifts it.`;
    }),
    ...fleet.targets.flatMap((target) => [
      ...(target.message === null ? [] : [`Target ${target.name} is ${target.state}: ${plain(target.message)}`]),
      ...(target.breaker === null
        ? []
        : [`Target ${target.name} is left alone after a fault of its own: ${plain(target.breaker.message)}`]),
      ...(target.blastRadius === null
        ? []
        : [
            `Target ${target.name} lost ${target.blastRadius.lost} at once, and healing there is held: see "holdfast why".`,
          ]),
    ]),
    ...(fleet.rollout?.state === 'failed'
      ? [
          `The rollout of ${fleet.rollout.revision} failed (${count(fleet.rollout.failures, 'failure')}) and goes no further: apply a corrected manifest, or "holdfast override --rollout".`,
        ]
      : []),
  ];
}

function scope({ target, instances }: FleetView['holds'][number]): string {
  const where = target === null ? '' : ` on target ${target}`;
  return instances === null ? `${target === null ? 'the whole fleet' : 'all'}${where}` : `${names(instances)}${where}`;
}
