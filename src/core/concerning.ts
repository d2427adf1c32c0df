/**
 * Which events of a fleet's log concern one instance: its own, and those of the fleet that say something of it in particular
 * (a tick that decides it, a hold by name). What is said of its target or of everybody concerns nobody in particular.
 */
import type { StoredEvent } from './events.ts';

export function concerns(event: StoredEvent, instance: string): boolean {
  switch (event.type) {
    case 'tick.decided': {
      const { actions, transitions, holds } = event.data;
      return [actions, transitions, holds].some((list) => list.some((one) => one.instance === instance));
    }
    case 'command.issued':
      return (
        event.instance === instance || ('instances' in event.data && event.data.instances?.includes(instance) === true)
      );
    default:
      return event.instance === instance;
  }
}
