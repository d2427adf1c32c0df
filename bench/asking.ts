/**
 * How soon whoever asks is answered: `why` with a million events in the log, and a scrape of `/metrics` at 100,000 instances.
 *
 * Through the HTTP API of a real Holdfast in a process of its own, one request after the other on a kept connection; `why` also
 * in this process, without HTTP. Beside them `/healthz` of the same server: what a request costs at the least. The fleets live on
 * a target that no server file names, so nothing is started; every instance is asked about from its own facts in the log.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compose } from '../src/runtime/compose.ts';
import { openDataFolder } from '../src/runtime/data-folder.ts';
import { silentLog } from '../src/runtime/log.ts';
import { atMost, known, quantile, timedAsync, type Bench } from './figure.ts';
import { FLEET, logFolder, type LogFolder } from './folder.ts';
import { History } from './history.ts';
import { startServer } from './server.ts';
import { tell } from './story.ts';
import { fleet } from './ticks.ts';

const EVENTS = 1_000_000;
const INSTANCES = 1_000;
const MANY = 100_000;
const ASKED = 500;
const SCRAPES = 60;
/** Of each, before it counts. */
const WARM_UP = 20;
const SETTLE_DEADLINE_MS = 120_000;

export const bench: Bench = async function* asking() {
  const long = await logFolder();
  try {
    const history = new History((event) => long.put(event));
    tell(history, INSTANCES, EVENTS);
    long.snapshot(history.state);
    long.finish();
    const names = [...history.state.names.keys()];
    const name = (i: number): string => names[i % names.length] ?? '';
    yield* figures(`why, ${history.state.seq} events, in the process`, await inProcess(long.path, name), 5);
    long.rewind();
    yield* overHttp(long, `why, ${history.state.seq} events, over HTTP`, ASKED, 5, (i) => whyPath(name(i)));
  } finally {
    long.remove();
  }
  const wide = await logFolder();
  try {
    const history = fleet(MANY, new History((event) => wide.put(event)));
    wide.snapshot(history.state);
    wide.finish();
    yield* overHttp(wide, `/metrics at ${MANY} instances`, SCRAPES, 50, () => '/metrics');
  } finally {
    wide.remove();
  }
};

const whyPath = (name: string): string => `/v1/fleets/${FLEET}/instances/${name}/why`;

function* figures(what: string, samples: readonly number[], limitMs: number): Iterable<ReturnType<typeof known>> {
  yield atMost(`${what}, median`, quantile(samples, 0.5), 'ms', limitMs);
  yield known('  p99', quantile(samples, 0.99), 'ms');
}

async function inProcess(path: string, name: (i: number) => string): Promise<readonly number[]> {
  const log = { ...silentLog, level: 'silent' };
  const composed = await compose(openDataFolder(path, '.'), { storeUrl: null, log });
  try {
    await composed.start();
    await composed.control.fleet(FLEET);
    return await samplesOf(ASKED, (i) => composed.control.why(FLEET, name(i), null));
  } finally {
    await composed.stop({ agents: false });
  }
}

async function* overHttp(folder: LogFolder, what: string, count: number, limitMs: number, path: (i: number) => string) {
  const server = await startServer(folder.path);
  try {
    const token = readFileSync(join(folder.path, 'admin.token'), 'utf8').trim();
    const get = async (at: string): Promise<string> => {
      const answer = await fetch(`${server.url}${at}`, { headers: { authorization: `Bearer ${token}` } });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${at} was answered with ${answer.status}: ${text}`);
      return text;
    };
    await settled(get);
    const samples = await samplesOf(count, (i) => get(path(i)));
    yield* figures(what, samples, limitMs);
    const least = await samplesOf(count, () => get('/healthz'));
    yield known('  /healthz of the same server, median', quantile(least, 0.5), 'ms');
    yield known('  p99', quantile(least, 0.99), 'ms');
  } finally {
    await server.end('SIGKILL');
  }
}

async function samplesOf(count: number, ask: (i: number) => Promise<unknown>): Promise<readonly number[]> {
  const samples: number[] = [];
  for (let i = 0; i < WARM_UP + count; i += 1) {
    const ms = await timedAsync(() => ask(i));
    if (i >= WARM_UP) samples.push(ms);
  }
  return samples;
}

/** What a start has to decide is decided: the log has stood still between two looks, half a second apart. */
async function settled(get: (path: string) => Promise<string>): Promise<void> {
  const giveUpAt = performance.now() + SETTLE_DEADLINE_MS;
  for (let before = -1; ;) {
    const { head } = JSON.parse(await get(`/v1/fleets/${FLEET}`)) as { head: number };
    if (head === before) return;
    if (performance.now() > giveUpAt) throw new Error('the fleet does not come to rest');
    before = head;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
