/**
 * The target type `external`: agents that somebody else runs. Nothing is ever started, stopped or looked at for them, so it
 * is no target with verbs, only what a manifest needs to know of it; their heartbeats are all that is seen of them.
 */
import type { TargetTypeInfo } from '../core/manifest/context.ts';

export const externalType: TargetTypeInfo = {
  type: 'external',
  lifecycles: ['hot'],
  run: (raw) =>
    Object.keys(raw).length === 0
      ? { ok: true, run: {} }
      : {
          ok: false,
          problems: [
            { path: '', message: 'an external instance has no run: whoever runs it decides that, not Holdfast' },
          ],
        },
  infra: () => ({}),
};
