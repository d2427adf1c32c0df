import fc from 'fast-check';
import assert from 'node:assert/strict';
import { stories, play } from './stories.ts';
import { decide } from '../../src/core/decide.ts';
import { plan } from '../../src/core/tick.ts';
import { budgetOf } from '../../src/core/fold/operation.ts';
const strip = (d: any) => JSON.stringify({ a: d.actions, t: d.transitions, h: d.holds });
const seed = Number(process.argv[2] ?? 1);
fc.assert(fc.property(stories(60), (story) => {
  play(story, (fleet) => {
    const s = fleet.state;
    const cnt: any = {}, ex: any = {};
    for (const i of s.instances.values()) {
      if (i.operation) { const k = i.spec.target + budgetOf(i.operation.kind); cnt[k] = (cnt[k] ?? 0) + 1; }
      if (i.resource && i.resource.state !== 'missing') ex[i.spec.target] = (ex[i.spec.target] ?? 0) + 1;
      for (const [n,c] of Object.entries(i.concerns)) { assert.ok(c.streak <= c.failures || true); assert.ok(!(c.gaveUpAt !== null && c.error === null), n); }
    }
    for (const t of s.targets.values()) {
      assert.equal(t.inFlight.run, cnt[t.name + 'run'] ?? 0); assert.equal(t.inFlight.stop, cnt[t.name + 'stop'] ?? 0);
      assert.equal(t.existing, ex[t.name] ?? 0, 'existing');
      if (t.blast) assert.ok(t.losses.size > 0, 'blast without losses');
      for (const uid of t.losses.keys()) assert.ok(s.instances.has(uid), 'loss of nobody');
    }
    if (s.rollout) for (const uid of s.rollout.active.keys()) assert.ok(s.instances.has(uid), 'active of nobody');
    const part = plan(s, fleet.agenda, fleet.now).decision;
    const all = decide(s, fleet.now, s.instances.keys());
    assert.equal(strip(part), strip(all));
  });
}), { numRuns: Number(process.argv[3] ?? 1500), seed });
console.log('ok', seed);
