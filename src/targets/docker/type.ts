/**
 * The target type `docker`: agents as containers of an engine, this host's or another's.
 */
import type { TargetType } from '../../ports/target.ts';
import { connect } from './engine.ts';
import { freezeRun, infraOf } from './run.ts';
import { engineAddress } from './settings.ts';
import { openDockerTarget } from './target.ts';

export const dockerType: TargetType = {
  type: 'docker',
  lifecycles: ['hot', 'lazy'],
  health: true,
  plugins: true,
  run: freezeRun,
  infra: infraOf,
  create(settings, { deployment, dataDir, name }) {
    return openDockerTarget(connect(engineAddress(settings, name)), { deployment, dataDir, name });
  },
};
