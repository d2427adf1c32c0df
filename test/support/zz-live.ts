import fc from 'fast-check';
import assert from 'node:assert/strict';
import { stories, play } from './stories.ts';
const seed = Number(process.argv[2] ?? 1);
const good = new Set(['RUNNING', 'SLEEPING', 'STOPPED']);
fc.assert(fc.property(stories(50), (story) => {
  const fleet = play(story);
  fleet.policy({ });
  for (const t of ['docker', 'box2', 'external']) { fleet.sync(t); fleet.put({ type: 'target.cleared', data: { target: t } }); fleet.put({ type: 'command.issued', data: { verb: 'override', target: t, identity: null, rollout: true } }); }
  fleet.release();
  for (const inst of [...fleet.state.instances.values()]) {
    const of = { instance: inst.name, uid: inst.uid };
    if (inst.desired === 'deleted') fleet.put({ type: 'spec.deleted', ...of, data: { data: 'keep', forget: false, prune: false } });
    else fleet.put({ type: 'command.issued', ...of, data: { verb: 'reconcile' } });
    fleet.put({ type: 'command.issued', data: { verb: 'override', target: null, identity: null, rollout: true } });
  }
  let twice = 0;
  for (let round = 0; round < 60; round += 1) {
    if ((fleet.state.rollout?.failures ?? 0) > 0) fleet.put({ type: 'command.issued', data: { verb: 'override', target: null, identity: null, rollout: true } });
    fleet.settle();
    for (const inst of [...fleet.state.instances.values()]) {
      const of = { instance: inst.name, uid: inst.uid };
      if (inst.spec.targetType !== 'external' && inst.resource?.ref != null && inst.resource.ref !== `ref-${inst.uid}`) fleet.put({ type: 'resource.observed', ...of, data: { ...inst.resource, ref: `ref-${inst.uid}`, began: fleet.state.seq } });
      const runs = inst.spec.targetType === 'external' || inst.resource?.state === 'running';
      if (inst.spec.heartbeat && runs && inst.agent?.heard !== 'heard') fleet.put({ type: 'agent.reported', ...of, data: { report: inst.agent?.heard === 'silent' ? 'recovered' : 'first' } });
      if (inst.spec.health && runs && inst.agent?.health !== 'ok') fleet.put({ type: 'probe.answered', ...of, data: { ok: true, message: 'x' } });
      if (inst.agent?.degraded) fleet.put({ type: 'agent.reported', ...of, data: { report: 'well' } });
      if (inst.agent?.busy) fleet.put({ type: 'agent.reported', ...of, data: { report: 'idle' } });
      if (inst.work.open) fleet.put({ type: 'work.ended', ...of, data: {} });
      if (inst.config?.observed === '1:foreign') fleet.put({ type: 'config.observed', ...of, data: { hash: inst.hashes.config ?? '' } });
      if (inst.resource?.state === 'changing') fleet.seen(inst.uid, 'running');
    }
    fleet.put({ type: 'sweep.completed', data: { target: 'docker', began: fleet.state.seq } });
    fleet.advance(45_000);
    fleet.settle();
  }
  for (const inst of fleet.state.instances.values()) {
    assert.ok(good.has(inst.phase), `${inst.name} ${inst.phase} ${JSON.stringify(inst.hold)} ${JSON.stringify(inst.concerns)} ${JSON.stringify(fleet.state.rollout)}`);
    assert.equal(inst.hold, null, `${inst.name} ${inst.phase} ${JSON.stringify(inst.hold)}`);
    for (const [n, c] of Object.entries(inst.concerns)) assert.ok(inst.phase !== 'RUNNING' || false, `${n} ${JSON.stringify(c)} ${inst.phase}`);
  }
  const before = fleet.log.length; fleet.advance(3_600_000 * 0); fleet.drain(); assert.equal(fleet.log.length, before);
}), { numRuns: Number(process.argv[3] ?? 1000), seed });
console.log('ok', seed);
