/**
 * A fleet's log as a file, for whoever looks at it elsewhere: one line of JSON for its head, one for each event, one for its
 * end. Nothing that a decision rests on is left out, so it replays as it did; what is nobody's business is:
 *
 *  1. Values of environments and configs, agents' last output, and the manifest's text are replaced; the hashes, on which
 *     decisions rest, stay.
 *  2. Names, commands, images, labels and error messages stay: without them nothing could be found out.
 *  3. A file that is cut off or does not hold together is refused, with the line.
 */
import { wordsOf } from './error-words.ts';
import { readRow, type EventRow } from './event-shapes.ts';
import type { EventData, NewEvent, StoredEvent } from './events.ts';
import type { Exit, FleetState, JsonObject, Spec } from './model.ts';
import { freeze, thaw } from './snapshot.ts';
import { LOGIC_VERSION } from './limits.ts';

const LOG_FORMAT = 1;
const HIDDEN = '(left out of the export)';

export interface LogHead {
  readonly holdfast: 'log';
  readonly format: number;
  readonly fleet: string;
  /** Build that wrote the file. */
  readonly build: string;
  readonly logic: number;
  /** Fleet time when it was written, ms. */
  readonly at: number;
  /** State before the first event; null: nothing came before. */
  readonly snapshot: {
    readonly seq: number;
    readonly at: number;
    readonly logic: number;
    readonly body: string;
  } | null;
}

export interface LogEnd {
  readonly end: true;
  readonly events: number;
}

export interface LogFile {
  readonly head: LogHead;
  readonly rows: readonly (EventRow & { readonly data: string })[];
  readonly events: readonly StoredEvent[];
}

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `state`: just before the first event; it is redacted in place. Null: nothing came before. */
export function logHead(about: Pick<LogHead, 'fleet' | 'build' | 'at'>, state: FleetState | null): LogHead {
  return {
    holdfast: 'log',
    format: LOG_FORMAT,
    ...about,
    logic: LOGIC_VERSION,
    snapshot: state && { seq: state.seq, at: state.at, logic: LOGIC_VERSION, body: freeze(redactedState(state)) },
  };
}

export function logLine(event: StoredEvent): string {
  return JSON.stringify({ ...event, ...redacted(event) });
}

function redacted(event: NewEvent): Pick<NewEvent, 'data'> {
  switch (event.type) {
    case 'manifest.applied':
      return { data: { ...event.data, manifest: null } };
    case 'spec.applied':
      return { data: { ...event.data, spec: redactedSpec(event.data.spec) } };
    case 'resource.observed':
      return { data: redactedLook(event.data) };
    case 'operation.ended':
      return { data: { ...event.data, ...(event.data.saw && { saw: redactedLook(event.data.saw) }) } };
    case 'flap.observed': {
      const { exit, output } = event.data;
      const data: EventData['flap.observed'] = { ...event.data, exit: redactedExit(exit), output: output && HIDDEN };
      return { data };
    }
    default:
      return { data: event.data };
  }
}

/** By name, so that one sees which there were. */
function redactedSpec(spec: Spec): Spec {
  const { env } = spec.run;
  const hidden =
    typeof env === 'object' && env !== null && !Array.isArray(env)
      ? { env: Object.fromEntries(Object.keys(env).map((name) => [name, HIDDEN])) }
      : {};
  const run: JsonObject = { ...spec.run, ...hidden };
  return { ...spec, run, config: spec.config && { ...spec.config, value: { hidden: HIDDEN } } };
}

const redactedLook = <L extends { readonly exit: Exit | null }>(look: L): L => ({
  ...look,
  exit: redactedExit(look.exit),
});

const redactedExit = (exit: Exit | null): Exit | null => exit && { ...exit, output: exit.output && HIDDEN };

function redactedState(state: FleetState): FleetState {
  if (state.manifest !== null) state.manifest = null;
  for (const inst of state.instances.values()) {
    inst.spec = redactedSpec(inst.spec);
    if (inst.resource !== null) inst.resource = redactedLook(inst.resource);
    inst.flaps = inst.flaps.map(redactedLook);
  }
  return state;
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Why a file is no log that can be looked at; `message` names the line. */
export class LogFileError extends Error {
  override readonly name = 'LogFileError';
}

export function readLogFile(text: string): LogFile {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const head = headOf(parsed(lines[0] ?? '', 1));
  const last = parsed(lines.at(-1) ?? '', lines.length) as Partial<LogEnd> | null;
  if (last?.end !== true) throw new LogFileError('it has no end: it was cut off while it was written; export it again');
  const rows: (EventRow & { data: string })[] = [];
  const events: StoredEvent[] = [];
  let seq = head.snapshot?.seq ?? 0;
  for (let at = 1; at < lines.length - 1; at += 1) {
    const row = rowOf(parsed(lines[at] ?? '', at + 1), at + 1);
    if (row.seq !== seq + 1) throw new LogFileError(`line ${at + 1}: event ${row.seq} cannot follow event ${seq}`);
    seq = row.seq;
    const read = readRow(row);
    if (read.kind === 'newer') throw new LogFileError(`line ${at + 1}: ${read.message}; a newer Holdfast can read it`);
    rows.push(row);
    events.push(read.event);
  }
  if (last.events !== rows.length) throw new LogFileError(`it has ${rows.length} of its ${last.events} events`);
  return { head, rows, events };
}

function parsed(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new LogFileError(`line ${number} is not JSON`);
  }
}

function headOf(value: unknown): LogHead {
  const head = value as Partial<LogHead> | null;
  if (head?.holdfast !== 'log' || typeof head.fleet !== 'string' || typeof head.at !== 'number')
    throw new LogFileError(
      'its first line is not the head of an exported log; `holdfast export-log` writes such files',
    );
  if (head.format !== LOG_FORMAT)
    throw new LogFileError(`it is of format ${String(head.format)}, and this build reads ${LOG_FORMAT}`);
  const { snapshot } = head;
  try {
    if (snapshot != null) thaw(snapshot.body, snapshot.logic);
  } catch (error) {
    throw new LogFileError(`its snapshot cannot be read: ${wordsOf(error)}`);
  }
  return head as LogHead;
}

function rowOf(value: unknown, line: number): EventRow & { data: string } {
  const { seq, at, type, v, instance = null, uid = null, data, by } = (value ?? {}) as Partial<StoredEvent>;
  const whole = [seq, at, v].every((number) => Number.isSafeInteger(number)) && typeof type === 'string';
  if (!whole || seq === undefined || at === undefined || v === undefined || data === undefined)
    throw new LogFileError(`line ${line} is no event`);
  return {
    seq,
    at,
    type,
    v,
    instance,
    uid,
    data: JSON.stringify(data),
    by: by === undefined ? null : JSON.stringify(by),
  };
}
