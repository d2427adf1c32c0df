/**
 * Three fleets that are stuck, each for one reason, as exported logs: what `docs/debugging.md` finds the cause of. Told to the
 * simulator, so that they are what this build would really have written; the same every time.
 */
import { logHead, logLine } from '../src/core/log-file.ts';
import { bot, MINUTE, SECOND, script, sleeper, type Script } from '../test/sim/script.ts';

const OPERATOR = { token: 'maria', via: 'cli' } as const;
const CRASHED = { code: 1, signal: null, oom: false, output: 'TypeError: words is not iterable' } as const;

export const STUCK: readonly { readonly path: string; readonly make: () => Promise<string> }[] = [
  { path: 'docs/stuck/late-result.jsonl', make: lateResult },
  { path: 'docs/stuck/held-target.jsonl', make: heldTarget },
  { path: 'docs/stuck/poisoned-event.jsonl', make: poisonedEvent },
];

/** The engine does start what it is asked to, but answers nobody, and only minutes later. */
async function lateResult(): Promise<string> {
  const s = await fleet({ scribe: sleeper(), archivist: bot() });
  for (let i = 0; i < 4; i += 1) s.next('start', { kind: 'late', ms: 20 * MINUTE }, 'scribe');
  s.say({ type: 'command.issued', instance: 'scribe', uid: 'u-scribe', data: { verb: 'wake' }, by: OPERATOR });
  await s.pass(100 * SECOND);
  return exported(s);
}

/** An operator held the target for an upgrade, and went home. */
async function heldTarget(): Promise<string> {
  const s = await fleet({ scribe: bot(), archivist: bot(), gambler: bot(), librarian: bot() });
  const reason = 'engine upgrade, back in ten minutes';
  s.say({
    type: 'command.issued',
    data: { verb: 'hold', id: 'h-1', reason, until: null, target: 'sim', instances: null },
    by: { ...OPERATOR, reason },
  });
  await s.pass(9 * 60 * MINUTE);
  s.world.authority('sim').crash(s.thing('gambler'), CRASHED);
  await s.pass(7 * 60 * MINUTE);
  return exported(s);
}

/** One row of the log was damaged on the disk. It was a stop, but nobody can know that any more. */
async function poisonedEvent(): Promise<string> {
  const s = await fleet({ scribe: bot(), archivist: bot() });
  s.sayDamaged({ type: 'command.issued', instance: 'scribe', uid: 'u-scribe', data: { verb: 'stop' }, by: OPERATOR });
  await s.pass(20 * MINUTE);
  s.world.authority('sim').crash(s.thing('scribe'), CRASHED);
  await s.pass(30 * MINUTE);
  return exported(s);
}

/** Declared once somebody owns it, so that its log begins when it began. */
async function fleet(specs: Parameters<typeof script>[0]): Promise<Script> {
  const s = await script({});
  for (const [name, spec] of Object.entries(specs)) s.declare(name, spec);
  await s.pass(5 * MINUTE);
  return s;
}

function exported(s: Script): string {
  const events = s.log();
  const head = logHead({ fleet: 'sim', build: 'simulated', at: s.fleet.loop.time() }, null);
  const end = { end: true, events: events.length };
  return [JSON.stringify(head), ...events.map(logLine), JSON.stringify(end)].map((line) => `${line}\n`).join('');
}
