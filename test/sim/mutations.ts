/**
 * Rules broken on purpose, and what the simulator says of each: if it found nothing, it would prove nothing. Whoever rewrites
 * a rule says anew how it could be wrong.
 */
export interface Mutation {
  /** What the broken Holdfast does. */
  readonly does: string;
  /** Below `src`. */
  readonly file: string;
  /** Occurs exactly once, however a formatter breaks its lines. */
  readonly from: string;
  readonly to: string;
  /** What ends one of the histories. */
  readonly violates: RegExp;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    does: 'starts what should be stopped',
    file: 'core/table.ts',
    from: "matches: (c) => c.inst.desired === 'stopped' || c.inst.completed,",
    to: 'matches: (c) => c.inst.completed,',
    violates: /invariant 4: .* for what should be stopped/,
  },
  {
    does: 'never stops what should be stopped',
    file: 'core/table.ts',
    from: "matches: (c) => c.inst.desired === 'stopped' && (c.running || c.resource?.state === 'changing'),",
    to: 'matches: () => false,',
    violates: /it should be stopped, and runs/,
  },
  {
    does: 'has no row for what is missing',
    file: 'core/table.ts',
    from: "matches: (c) => c.inst.resource?.state === 'missing',",
    to: 'matches: () => false,',
    violates: /invariant (7|10)|did not converge/,
  },
  {
    does: 'writes down what agents print of their secrets',
    file: 'runtime/secrets/redactor.ts',
    from: 'if (this.isIdle()) return event;',
    to: 'return event;',
    violates: /invariant 13: the value of secret "llm@\d+" is in event \d+/,
  },
  {
    does: 'forgets what it has not destroyed',
    file: 'core/table.ts',
    from: "const destroyed = c.inst.resource?.state === 'missing' && c.inst.removing;",
    to: 'const destroyed = true;',
    violates: /is left on its target, and nobody knows it/,
  },
  {
    does: 'applies a config, and leaves the old one on disk',
    file: 'core/table.ts',
    from: 'return c.configUnpersisted() ? [{ ...persist, disrupts: false }] : NOTHING;',
    to: 'return NOTHING;',
    violates: /invariant 7|did not converge|another config is on its disk/,
  },
  {
    does: 'believes the probe of a silent agent the wrong way round',
    file: 'core/table.ts',
    from: "if (answered && health === 'failing') return [restart];",
    to: "if (answered && health === 'ok') return [restart];",
    violates: /did not converge: it should be RUNNING|invariant 7|though it has been heard and well/,
  },
  {
    does: 'knows no blast radius',
    file: 'core/gates.ts',
    from: 'if (p.heals !== true || c.target.blast === null) return null;',
    to: 'return null;',
    violates: /made anew that went missing within a minute/,
  },
  {
    does: 'rolls a change out to many before the first is proved',
    file: 'core/gates.ts',
    from: 'return (rollout.proved === 0 ? 1 : share) - rollout.active.size;',
    to: 'return share * 2 - rollout.active.size;',
    violates: /are down for the rollout of r\d+ at once/,
  },
  {
    does: 'has no budget',
    file: 'core/gates.ts',
    from: "if (slots === null || p.type === 'forget' || slots.free(",
    to: "if (slots !== undefined || p.type === 'forget' || slots === null || slots.free(",
    violates: /invariant 9/,
  },
  {
    does: 'never waits between two tries',
    file: 'core/concern.ts',
    from: 'if (streak <= 1) return 0;',
    to: 'if (streak <= 1_000) return 0;',
    violates: /th try within/,
  },
  {
    does: 'takes "done" for done, whatever is seen',
    file: 'core/fold/operation.ts',
    from: 'if (undone === null) recordSuccess(inst, operation.concern);',
    to: 'if (undone !== undefined) recordSuccess(inst, operation.concern);',
    violates: /th try within/,
  },
  {
    does: 'believes the result of an operation that is over',
    file: 'core/fold/operation.ts',
    from: 'if (operation === null || operation.id !== data.operation) return;',
    to: 'if (operation === null) return;',
    violates: /the late result of .* changes|without an operation in flight|invariant/,
  },
  {
    does: 'believes looks that began before an operation',
    file: 'core/fold/resource.ts',
    from: 'began < inst.operationSeq;',
    to: 'began < 0;',
    violates: /is said, and (it runs|was asked)|is said to be missing|did not converge|invariant/,
  },
  {
    does: 'says the end of a life again when it is told again',
    file: 'core/fold/resource.ts',
    from: 'incarnation !== null && inst.endedIncarnations.includes(incarnation);',
    to: 'incarnation === "";',
    violates: /is said \d+ times|is said, and was asked/,
  },
  {
    does: 'takes every end for one that nobody asked for',
    file: 'core/fold/resource.ts',
    from: '(incarnation !== null && incarnation === inst.endingIncarnation) || endedByUs(inst, end);',
    to: '(end === null && endedByUs(inst, end));',
    violates: /is said, and was asked/,
  },
  {
    does: 'says nothing of what it finds gone',
    file: 'core/fold/resource.ts',
    from: "if (inst.desired === 'deleted' || inst.removing) return;",
    to: "if (inst.desired !== 'deleted' || inst.removing) return;",
    violates: /ended unasked .* and nobody said so|made anew that went missing/,
  },
  {
    does: 'forgets that the effects of a dead owner are gone',
    file: 'core/evolve.ts',
    from: 'closeOperation(state, inst, event.seq);',
    to: 'void closeOperation;',
    violates: /invariant 1:/,
  },
  {
    does: 'sets no alarm when it asks the time in vain',
    file: 'core/case.ts',
    from: 'if (at < this.wakeAt) this.wakeAt = at;',
    to: 'if (at < this.wakeAt) this.wakeAt = Number.POSITIVE_INFINITY;',
    violates: /a look at everybody finds|invariant 7/,
  },
  {
    does: 'calls nobody who waits in line',
    file: 'core/agenda.ts',
    from: 'if (this.turnOf.size === 0) return NOBODY;',
    to: 'if (this.turnOf.size >= 0) return NOBODY;',
    violates: /a look at everybody finds|invariant 7/,
  },
  {
    does: 'draws its jitter anew each time',
    file: 'core/concern.ts',
    from: '(2 * jitter(uid, concern, streak) - 1)',
    to: '(2 * (jitter(uid, concern, streak) * 0 + Math.random()) - 1)',
    violates: /the replay differs|what the owner believes is not what the log says/,
  },
  {
    does: 'loses a field in its snapshots',
    file: 'core/snapshot.ts',
    from: "if (column === 'spec') return pool.spec(inst.spec);",
    to: "if (column === 'awake') return false; if (column === 'spec') return pool.spec(inst.spec);",
    violates: /snapshot|the replay differs|believes/,
  },
  {
    does: 'takes one complete listing for a proof of absence',
    file: 'runtime/sightings.ts',
    from: 'if (first !== inst.operationSeq) {',
    to: 'if (first !== inst.operationSeq && inst.name === "") {',
    violates: /is said to be missing .* and no two complete listings lacked it/,
  },
  {
    does: 'remembers half a proof of absence after it was seen again',
    file: 'runtime/observer.ts',
    from: 'for (const uid of absent.keys()) if (!after.has(uid)) absent.delete(uid);',
    to: '',
    violates: /is said to be missing .* and no two complete listings lacked it/,
  },
  {
    does: 'believes the listing of another authority',
    file: 'runtime/sightings.ts',
    from: 'if (target.identity !== null && target.identity !== identity) {',
    to: 'if (target.identity !== null && target.identity !== identity && identity === "") {',
    violates: /is said to be missing .* and no two complete listings lacked it/,
  },
  {
    does: 'writes what has not changed',
    file: 'runtime/sightings.ts',
    from: 'if (sameLook(inst.resource, look)) return null;',
    to: 'if (inst.name !== "a07" && sameLook(inst.resource, look)) return null;',
    violates: /nothing happened, and yet it writes/,
  },
  {
    does: 'lets an owner act that has been fenced out',
    file: 'stores/rules.ts',
    from: 'if (log.epoch === epoch) return;',
    to: 'if (log.epoch >= epoch) return;',
    violates: /though it does not own the fleet/,
  },
  {
    does: 'acts on a decision before it is durable',
    file: 'stores/memory.ts',
    from: "commitEvents('tick', fleet, log, stamped);",
    to: "try { commitEvents('tick', fleet, log, stamped); } catch { /* answered before it is written */ }",
    violates: /and the log does not hold that it was decided|does not own|believes|the replay differs/,
  },
];
