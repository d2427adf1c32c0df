/**
 * The target type `process`: agents as processes of the host that Holdfast itself runs on.
 */
import type { TargetType } from '../../ports/target.ts';
import { freezeRun, infraOf } from './run.ts';
import { openProcessTarget, refuseSettings } from './target.ts';

export const processType: TargetType = {
  type: 'process',
  lifecycles: ['hot', 'lazy'],
  plugins: true,
  run: freezeRun,
  infra: infraOf,
  create(settings, { deployment, dataDir, name }) {
    refuseSettings(settings, name);
    return openProcessTarget({ deployment, dataDir, name });
  },
};
