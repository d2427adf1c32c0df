/**
 * What the benchmarks' fleets declare: specs as a manifest with a template gives them, through the same reader as any
 * other, and through JSON text as any that comes out of a log.
 */
import type { ChannelInfo, ManifestContext } from '../src/core/manifest/context.ts';
import { readManifest } from '../src/core/manifest/read.ts';
import type { EventData, NewEvent } from '../src/core/events.ts';
import { processType } from '../src/targets/process/type.ts';

/** No server file declares it: whatever reads such a log can look at these instances, and never start one. */
export const TARGET = 'bench';

const FILE_CHANNEL: ChannelInfo = { settings: (settings) => ({ ok: true, settings }) };

const CONTEXT: ManifestContext = {
  targets: new Map([[TARGET, processType]]),
  channels: new Map([['file', FILE_CHANNEL]]),
  secrets: new Map([['llm', 3]]),
  unsetSecrets: 'refuse',
  allowRelative: false,
};

/** Stands for a number in the manifest's text. Long enough to be no other text. */
const MARK = '77777777';

const TEMPLATE = (level: string): string => `
version: 1
fleet: bench
templates:
  bot:
    target: ${TARGET}
    run:
      command: [node, --max-old-space-size=256, /srv/agents/bot/main.js, --bot, "\${name}"]
      cwd: /srv/agents/bot
      env: { BOT: "\${name}", LEVEL: ${level}, MODEL: large-2026-01, KEY: "\${secret:llm}", TZ: Europe/Berlin }
      stopTimeout: 30s
    heartbeat: { every: 5s, silentAfter: 15s, startGrace: 30s }
    config: { channel: file, path: /srv/agents/bot/config.json, onChange: SIGHUP, value: { greeting: hello, tools: [search, mail, calendar], limits: { tokensPerDay: 2000000, parallel: 4 } } }
instances:
  hot-${MARK}: { from: bot, labels: { customer: customer-${MARK}, region: eu-central } }
  lazy-${MARK}: { from: bot, lifecycle: lazy, idleAfter: 10m, labels: { customer: customer-${MARK}, region: eu-central } }
`;

interface Pattern {
  readonly text: string;
  readonly infra: string;
}

/** One of the two instances of the template, as JSON with the mark in it. */
function pattern(level: string, lifecycle: 'hot' | 'lazy'): Pattern {
  const read = readManifest(TEMPLATE(level), CONTEXT);
  if (!read.ok) throw new Error(`the manifest of the benchmark is not valid: ${JSON.stringify(read.errors)}`);
  const found = read.manifest.specs.get(`${lifecycle}-${MARK}`);
  if (found === undefined) throw new Error(`the manifest of the benchmark has no ${lifecycle} instance`);
  const { spec, hashes } = found;
  return { text: JSON.stringify({ spec, hashes }), infra: hashes.infra };
}

/** Specs of one version of the template; `level` is what differs between two versions. */
export function template(level: string): (index: number, generation: number) => NewEvent {
  const patterns = { hot: pattern(level, 'hot'), lazy: pattern(level, 'lazy') };
  return (index, generation) => {
    const { lifecycle, instance, uid } = who(index);
    const { text, infra } = patterns[lifecycle];
    const number = digits(index);
    // Each name has a hash of its own; hashing 100,000 of them anew would measure nothing.
    const own = infra.slice(0, -number.length) + number;
    const data = JSON.parse(text.replaceAll(infra, own).replaceAll(MARK, number)) as Pick<
      EventData['spec.applied'],
      'spec' | 'hashes'
    >;
    return { type: 'spec.applied', instance, uid, data: { ...data, generation, revision: `1:${level}` } };
  };
}

const digits = (index: number): string => String(index).padStart(MARK.length, '0');

/** Every fourth one is lazy. */
export function who(index: number): { instance: string; uid: string; lifecycle: 'hot' | 'lazy' } {
  const lifecycle = index % 4 === 3 ? 'lazy' : 'hot';
  return { instance: `${lifecycle}-${digits(index)}`, uid: `5eed${index.toString(16).padStart(12, '0')}`, lifecycle };
}
