/** Events as one line each. Unknown types are shown as they are: a newer server may know more than this client. */
import type { By } from '../../core/events.ts';
import type { Json, JsonObject } from '../../core/model.ts';
import type { EventView } from '../../runtime/api.ts';
import { brief, cut, names, plain, shortHash } from './text.ts';

/** What it says, without time and instance. With `only`, ticks say just what concerns that instance. */
export function eventInWords(event: EventView, only: string | null): string {
  const data = asObject(event.data);
  const words = (key: string): string => brief(data[key]);
  switch (event.type) {
    case 'owner.started':
      return `${words('owner')} took over (epoch ${words('epoch')}, logic ${words('logic')})`;
    case 'manifest.applied':
      return `revision ${shortHash(words('revision'))}`;
    case 'spec.applied':
      return `generation ${words('generation')} on ${brief(asObject(data['spec'])['target'])}`;
    case 'spec.deleted':
      return `delete asked, data ${data['data'] === 'delete' ? 'deleted' : 'kept'}${data['forget'] === true ? ', forget' : ''}${data['prune'] === true ? ', by prune' : ''}`;
    case 'command.issued':
      return commandInWords(data);
    case 'target.synced':
    case 'target.cleared':
      return words('target');
    case 'target.stale':
    case 'target.refused':
      return `${words('target')}: ${words('message')}`;
    case 'resource.observed':
      return `${words('state')}${data['exit'] == null ? '' : `, ${exitInWords(data['exit'])}`}`;
    case 'operation.ended': {
      const error = asObject(data['error']);
      return `${words('operation')} ${words('outcome')}${data['error'] == null ? '' : `: ${brief(error['code'])}: ${brief(error['message'])}`}`;
    }
    case 'agent.reported':
      return `${REPORTED[words('report')] ?? words('report')}${data['message'] == null ? '' : `: ${words('message')}`}${data['version'] == null ? '' : ` ${words('version')}`}`;
    case 'probe.answered':
      return `${data['ok'] === true ? 'well' : 'not well'}: ${words('message')}`;
    case 'flap.observed':
      return `${words('kind')}${data['exit'] == null ? '' : `, ${exitInWords(data['exit'])}`}${lastLine(data['output'])}`;
    case 'event.quarantined':
      return `was ${words('was')}: ${words('message')}`;
    case 'invariant.broken':
      return `invariant ${words('invariant')} did not hold: ${words('message')}; recovery: ${words('recovery')}`;
    case 'tick.decided':
      return tickInWords(data, only);
    default:
      return cut(brief(event.data), 200);
  }
}

/** `, by alice via cli: "reason"`, or nothing. */
export function byInWords(by: By | undefined): string {
  if (by === undefined) return '';
  return `, by ${plain(by.token)} via ${plain(by.via)}${by.reason === undefined ? '' : `: "${plain(by.reason)}"`}`;
}

/** Does it concern the instance? Ticks have no instance of their own. */
export function concerns(event: EventView, instance: string): boolean {
  if (event.type !== 'tick.decided') return event.instance === instance;
  const data = asObject(event.data);
  return ['actions', 'transitions', 'holds'].some((key) => entries(data, key, instance).length > 0);
}

const REPORTED: { readonly [report: string]: string } = {
  first: 'heard for the first time in this life',
  silent: 'fell silent',
  recovered: 'is heard again',
  degraded: 'says that it is degraded',
  well: 'says that it is well again',
  busy: 'works',
  idle: 'is idle',
  version: 'says that it is version',
};

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function tickInWords(data: JsonObject, only: string | null): string {
  const name = (entry: JsonObject): string => (only === null ? `${brief(entry['instance'])} ` : '');
  const transitions = entries(data, 'transitions', only).map(
    (each) => `${name(each)}${brief(each['from'])} → ${brief(each['to'])} (${brief(each['rule'])})`,
  );
  const actions = entries(data, 'actions', only).map((each) => {
    const attempt = typeof each['attempt'] === 'number' && each['attempt'] > 1 ? `, attempt ${each['attempt']}` : '';
    const why =
      each['reason'] == null ? ` because of row ${brief(each['rule'])}` : `, for its ${brief(each['reason'])}`;
    return `${name(each)}${brief(each['type'])}${only === null ? '' : why}${attempt}`;
  });
  const holds = entries(data, 'holds', only).map((each) =>
    each['hold'] == null ? `${name(each)}hold lifted` : `${name(each)}held: ${holdOf(asObject(each['hold']))}`,
  );
  return names([...transitions, ...actions, ...holds], only === null ? 4 : 20) || 'nothing';
}

function holdOf({ reason, detail }: JsonObject): string {
  return detail == null ? brief(reason) : `${brief(reason)} (${cut(brief(detail), 60)})`;
}

function commandInWords(data: JsonObject): string {
  const verb = brief(data['verb']);
  const scope = [
    data['target'] == null ? '' : ` on target ${brief(data['target'])}`,
    Array.isArray(data['instances']) ? ` for ${names(data['instances'].map(brief))}` : '',
    data['identity'] == null ? '' : ` with identity ${brief(data['identity'])}`,
    data['rollout'] === true ? ' for the rollout' : '',
  ].join('');
  return `${verb} asked${scope}${verb === 'hold' ? `: ${brief(data['reason'])}` : ''}`;
}

function exitInWords(exit: Json | undefined): string {
  const { code, signal, oom } = asObject(exit);
  if (oom === true) return 'out of memory';
  if (signal == null && code == null) return 'how it ended is not known';
  return signal == null ? `exit ${brief(code)}` : `ended by ${brief(signal)}`;
}

function lastLine(output: Json | undefined): string {
  const last = typeof output === 'string' ? output.trimEnd().split('\n').at(-1) : undefined;
  return last === undefined || last === '' ? '' : `: ${plain(last)}`;
}

function entries(data: JsonObject, key: string, only: string | null): readonly JsonObject[] {
  const list = data[key];
  const all = Array.isArray(list) ? list.map(asObject) : [];
  return only === null ? all : all.filter((each) => each['instance'] === only);
}

function asObject(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}
