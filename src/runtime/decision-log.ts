/**
 * What was decided, in Holdfast's own log: one line per decision at `info`, with fleet, instance, rule and the seq of the
 * tick, so that a line leads to `why`, `history` and `replay`.
 *
 *  1. A decision is what one tick decided for one instance: an action, and with the first of them its change of phase and of
 *     hold. A flap is a line of its own.
 *  2. An operation that ended badly is said at `warn`, with its words.
 *  3. Nothing is said that is not in the log of the fleet; a steady fleet, which decides nothing, says nothing.
 *  4. One tick writes at most `DECISION_LINES_PER_TICK`: a fleet of 100,000 that is taken over must not stand still for its log.
 *  5. No words of agents: their output stays in their own log.
 */
import { Case } from '../core/case.ts';
import { judge } from '../core/decide.ts';
import type { DecidedAction, DecidedHold, DecidedTransition, StoredEvent } from '../core/events.ts';
import type { FleetState } from '../core/model.ts';
import { iso } from '../core/time.ts';
import { DECISION_LINES_PER_TICK } from './limits.ts';
import { says, type Log } from './log.ts';

type Tick = StoredEvent & { readonly type: 'tick.decided' };
type End = StoredEvent & { readonly type: 'operation.ended' };
type Flap = StoredEvent & { readonly type: 'flap.observed' };

/** `state`: in which the events are folded already. */
export function logDecisions(log: Log, state: FleetState, events: readonly StoredEvent[]): void {
  if (!says(log, 'warn')) return;
  for (const event of events) {
    if (event.type === 'tick.decided' && says(log, 'info')) tickLines(log, state, event);
    else if (event.type === 'flap.observed') flapLine(log, state.fleet, event);
    else if (event.type === 'operation.ended') endLine(log, state.fleet, event);
  }
}

/** All that a tick decided for one instance. */
interface Part {
  readonly instance: string;
  readonly actions: DecidedAction[];
  transition: DecidedTransition | null;
  hold: DecidedHold | null;
}

function tickLines(log: Log, state: FleetState, { seq, data }: Tick): void {
  const parts = new Map<string, Part>();
  const part = ({ uid, instance }: { readonly uid: string; readonly instance: string }): Part => {
    const known = parts.get(uid) ?? { instance, actions: [], transition: null, hold: null };
    parts.set(uid, known);
    return known;
  };
  for (const action of data.actions) part(action).actions.push(action);
  for (const transition of data.transitions) part(transition).transition = transition;
  for (const hold of data.holds) part(hold).hold = hold;
  let told = 0;
  for (const [uid, { instance, actions, transition, hold }] of parts) {
    if ((told += 1) > DECISION_LINES_PER_TICK) break;
    const [first = null, ...more] = actions;
    const change = { ...phaseFields(transition), ...holdFields(hold) };
    const said = [first === null ? '' : actionText(first), phaseText(transition), holdText(hold)];
    const rule = first?.rule ?? transition?.rule ?? hold?.hold?.rule ?? ruleNow(state, uid, data.now);
    const about = { fleet: state.fleet, instance, rule, seq };
    log.info({ ...about, ...actionFields(first), ...change }, `decided: ${said.filter(Boolean).join(', ')}`);
    for (const action of more)
      log.info({ ...about, rule: action.rule, ...actionFields(action) }, `decided: ${actionText(action)}`);
  }
  const more = parts.size - DECISION_LINES_PER_TICK;
  if (more > 0)
    log.info(
      { fleet: state.fleet, seq, more },
      'decided about more instances; "holdfast events" has them, by this seq',
    );
}

function flapLine(log: Log, fleet: string, { seq, instance, data }: Flap): void {
  const { kind, exit } = data;
  log.info({ fleet, instance, seq, flap: kind, exit: exit && { ...exit, output: undefined } }, `a flap: ${kind}`);
}

/** What was decided, and came to nothing (L42). */
function endLine(log: Log, fleet: string, { seq, instance, data }: End): void {
  const { operation, outcome, error } = data;
  if (error === undefined) return;
  log.warn({ fleet, instance, seq, operation, code: error.code, error: error.message }, `an operation ${outcome}`);
}

/** A hold that is lifted names no row: the one that speaks now. */
function ruleNow(state: FleetState, uid: string, now: number): string | null {
  const inst = state.instances.get(uid);
  return inst === undefined ? null : judge(new Case(state, inst, now), null).row.id;
}

function actionFields(action: DecidedAction | null): object {
  if (action === null) return {};
  const { type, operation, attempt, reason } = action;
  return { action: type, operation, attempt, reason };
}

const actionText = ({ type, attempt = 1, reason }: DecidedAction): string =>
  `${type}${attempt > 1 ? `, attempt ${attempt}` : ''}${reason === undefined ? '' : ` (${reason})`}`;

const phaseFields = (transition: DecidedTransition | null): object =>
  transition === null ? {} : { from: transition.from, to: transition.to };

const phaseText = (transition: DecidedTransition | null): string =>
  transition === null ? '' : `${transition.from} → ${transition.to}`;

function holdFields(change: DecidedHold | null): object {
  if (change === null) return {};
  if (change.hold === null) return { hold: null };
  const { reason, detail, until } = change.hold;
  return { hold: reason, detail, until: until === null ? null : iso(until) };
}

const holdText = (change: DecidedHold | null): string =>
  change === null ? '' : change.hold === null ? 'the hold is lifted' : `held: ${change.hold.reason}`;
