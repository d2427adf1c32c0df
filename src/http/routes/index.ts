/** All routes, in the order of the document. */
import type { Control } from '../../runtime/api.ts';
import type { Route } from '../route.ts';
import { commandRoutes } from './commands.ts';
import { debugRoutes } from './debug.ts';
import { eventRoutes } from './events.ts';
import { fleetRoutes } from './fleets.ts';
import { agentRoutes } from './heartbeat.ts';
import { healthRoutes } from './health.ts';
import { insideRoutes } from './inside.ts';
import { instanceRoutes } from './instances.ts';
import { logLevelRoutes } from './log-level.ts';
import { orphanRoutes } from './orphans.ts';
import { secretRoutes } from './secrets.ts';
import { volumeRoutes } from './volumes.ts';
import { tokenRoutes } from './tokens.ts';

export function allRoutes(control: Control, document: () => object): readonly Route[] {
  return [
    ...healthRoutes(control, document),
    ...fleetRoutes(control),
    ...instanceRoutes(control),
    ...insideRoutes(control),
    ...commandRoutes(control),
    ...eventRoutes(control),
    ...debugRoutes(control),
    ...orphanRoutes(control),
    ...volumeRoutes(control),
    ...secretRoutes(control),
    ...tokenRoutes(control),
    ...logLevelRoutes(control),
    ...agentRoutes(control),
  ];
}
