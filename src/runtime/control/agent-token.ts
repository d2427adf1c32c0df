/** A new token for an agent that somebody else runs. Those that we start find theirs in their environment. */
import type { By } from '../../core/events.ts';
import { Refusal, type AgentToken } from '../api.ts';
import type { World } from '../world.ts';
import { append, fleetOf, instanceOf, upToDate } from './fleets.ts';

export async function renewAgentToken(world: World, fleetName: string, name: string, by: By): Promise<AgentToken> {
  const fleet = fleetOf(world, fleetName);
  await upToDate(fleet, 0);
  const { uid, spec, token, desired } = instanceOf(fleet, name);
  if (desired === 'deleted')
    throw new Refusal('gone', 'deleting', `${name} is being deleted, and has no token any more`);
  if (spec.targetType !== 'external') {
    const message = `${name} is started by Holdfast and finds its token in its environment, as HOLDFAST_INSTANCE_TOKEN; it gets a new one with each provision`;
    throw new Refusal('conflict', 'managed-token', message);
  }
  const serial = (token.next ?? token.serial) + 1;
  const [written] = await append(world, fleet, [{ type: 'token.rotated', instance: name, uid, data: { serial }, by }]);
  await upToDate(fleet, written?.seq ?? 0);
  return { fleet: fleetName, instance: name, uid, token: world.registry.token(fleetName, uid, serial) };
}
