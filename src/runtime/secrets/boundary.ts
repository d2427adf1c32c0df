/**
 * Where what is written, logged and answered passes the redactor: wrappers around the store, the log and the faces'
 * control, so that no caller has to remember it.
 */
import type { Store } from '../../ports/store.ts';
import { says, type Log } from '../log.ts';
import { Refusal, type Control } from '../api.ts';
import type { Redactor } from './redactor.ts';

/** Every event on its way into the log. */
export function redactedStore(store: Store, redactor: Redactor): Store {
  return {
    ...store,
    append: (fleet, events, now, expect) =>
      store.append(
        fleet,
        events.map((event) => redactor.event(event)),
        now,
        expect,
      ),
    tick: (fleet, epoch, after, now, body) =>
      store.tick(fleet, epoch, after, now, (fresh, log) => body(fresh, log).map((event) => redactor.event(event))),
  };
}

/** Every line of our own log that is written at all. */
export function redactedLog(log: Log, redactor: Redactor): Log {
  const line =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void => {
      if (says(log, level)) log[level](redactor.json(fields), redactor.text(message));
    };
  return {
    // Read anew each time: it may be changed while it runs.
    get level() {
      return log.level ?? 'trace';
    },
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
  };
}

/**
 * Asked all the time by agents, or for every request, and answered with nothing that could hold a secret; or lines that were
 * looked through one by one (`control/export.ts`).
 */
const UNCHANGED: ReadonlySet<string> = new Set(['heartbeat', 'identify', 'exportLog']);

/** Every answer to the faces, refusals included. */
export function redactedControl(control: Control, redactor: Redactor): Control {
  const verbs = Object.entries(control).map(([verb, work]: [string, unknown]) => {
    if (typeof work !== 'function' || UNCHANGED.has(verb)) return [verb, work];
    return [
      verb,
      (...args: readonly unknown[]): unknown => answered(() => Reflect.apply(work, control, args), redactor),
    ];
  });
  return {
    ...(Object.fromEntries(verbs) as Control),
    async *watch(fleet, after, signal) {
      for await (const event of control.watch(fleet, after, signal)) yield redactor.json(event);
    },
    logs: async (fleet, name, ask, signal) =>
      redactor.stream(
        (await answered(() => control.logs(fleet, name, ask, signal), redactor)) as AsyncIterable<Uint8Array>,
      ),
  };
}

async function answered(work: () => unknown, redactor: Redactor): Promise<unknown> {
  try {
    return redactor.json(await work());
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal(error.kind, error.rule, redactor.text(error.message), redactor.json(error.errors));
  }
}
