/** `doctor`: looks at everything between this terminal and a working control plane, and says what to do about it. */
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { FleetView } from '../../runtime/api.ts';
import { createClient, type Client } from '../client.ts';
import { declare, type Context, type Session } from '../command.ts';
import { DATA_FOLDER, discover, nearestFolder, TOKEN_FILE, type Endpoint } from '../discover.ts';
import { EXIT_NEGATIVE, EXIT_OK, Failure, ProblemFailure } from '../failure.ts';
import { age, span } from '../render/ages.ts';
import { count, plain } from '../render/text.ts';

interface Check {
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
}

const OLDEST_NODE = 24;
/** More than this between the clocks makes ages here and times there hard to compare. */
const CLOCK_OFF_MS = 5_000;
/** A loop ticks every ten seconds, whatever happens. */
const TICK_LATE_MS = 60_000;
const OTHERS_MAY = 0o077;

export function registerDoctor(session: Session): void {
  declare(session, session.program, {
    usage: 'doctor',
    description:
      'Checks Node, the data folder, the server, the token, the clocks and every fleet; exit 1 if something is wrong.',
    group: 'Server:',
    shared: ['output', 'data'],
    examples: ['holdfast doctor', 'holdfast doctor -o json'],
    run: async (context) => {
      const checks = await examine(context);
      const ok = checks.every((each) => each.ok);
      if (context.json) {
        await context.printJson({ ok, checks });
      } else {
        const lines = checks.map(
          (each) =>
            `${each.ok ? context.paint('good', 'ok   ') : context.paint('bad', 'wrong')}  ${each.check}: ${plain(each.message)}`,
        );
        await context.print(lines);
      }
      return ok ? EXIT_OK : EXIT_NEGATIVE;
    },
  });
}

async function examine(context: Context): Promise<readonly Check[]> {
  const { io, data } = context;
  const checks = [nodeCheck(), folderCheck(context)];
  let endpoint: Endpoint;
  try {
    endpoint = discover(io, data);
  } catch (error) {
    return [...checks, failed('server', error)];
  }
  const client = createClient(endpoint, io.signal(), io.delay);
  try {
    const answer = await client.healthz();
    checks.push({
      check: 'server',
      ok: answer.status === 200,
      message: `${endpoint.url.origin} answers ${answer.status}`,
    });
    checks.push(clockCheck(answer.headers.date, io.now()));
  } catch (error) {
    return [...checks, failed('server', error)];
  }
  try {
    const { ready, because } = await client.ready();
    checks.push({ check: 'ready', ok: ready, message: ready ? 'it does its work' : because.join('; ') });
  } catch (error) {
    checks.push(failed('ready', error));
  }
  return [...checks, ...(await fleetChecks(client, endpoint, io.now()))];
}

function nodeCheck(): Check {
  const version = process.versions.node;
  const ok = Number.parseInt(version, 10) >= OLDEST_NODE;
  return { check: 'node', ok, message: ok ? version : `${version} is too old: Holdfast needs ${OLDEST_NODE} or newer` };
}

function folderCheck({ io, data }: Context): Check {
  const folder = data === null ? nearestFolder(io.cwd) : resolve(io.cwd, data);
  if (folder === null) {
    const remote = (io.env['HOLDFAST_URL'] ?? '') !== '';
    return {
      check: 'data',
      ok: remote,
      message: `no ${DATA_FOLDER}/ here or above${remote ? '; not needed with HOLDFAST_URL' : ': `holdfast up` makes one'}`,
    };
  }
  const token = statSync(join(folder, TOKEN_FILE), { throwIfNoEntry: false });
  if (token !== undefined && process.platform !== 'win32' && (token.mode & OTHERS_MAY) !== 0) {
    return {
      check: 'data',
      ok: false,
      message: `others may read ${join(folder, TOKEN_FILE)}: chmod 600 it, and make a new token`,
    };
  }
  return { check: 'data', ok: true, message: folder };
}

function clockCheck(date: string | undefined, now: number): Check {
  const there = date === undefined ? Number.NaN : Date.parse(date);
  if (Number.isNaN(there)) return { check: 'clock', ok: true, message: 'the server does not say its time' };
  // The header has whole seconds.
  const off = Math.max(0, Math.abs(now - there) - 1_000);
  const ok = off <= CLOCK_OFF_MS;
  return {
    check: 'clock',
    ok,
    message: ok
      ? 'agrees with the server'
      : `${span(off)} away from the server: the ages shown here are off by as much`,
  };
}

async function fleetChecks(client: Client, endpoint: Endpoint, now: number): Promise<readonly Check[]> {
  try {
    const fleets = await client.fleets();
    const token = { check: 'token', ok: true, message: `accepted, from ${endpoint.tokenFrom}` };
    return [token, ...fleets.map((fleet) => fleetCheck(fleet, now))];
  } catch (error) {
    return [failed('token', error)];
  }
}

function fleetCheck(view: FleetView, now: number): Check {
  const wrong: string[] = [];
  if (view.owner === null) wrong.push('nobody owns it: no replica that reaches its targets is up');
  const late = view.lastTickAt === null ? Number.NaN : now - Date.parse(view.lastTickAt);
  if (view.pending > 0 && late > TICK_LATE_MS)
    wrong.push(`${view.pending} events wait, and the last tick was ${age(view.lastTickAt, now)}`);
  for (const phase of ['ERROR', 'UNKNOWN', 'DEGRADED'] as const) {
    const number = view.phases[phase] ?? 0;
    if (number > 0) wrong.push(`${number} ${phase} (holdfast get --phase ${phase})`);
  }
  // One that crashes again and again is PENDING or RUNNING between two lives.
  const elsewhere = view.errors - (view.phases.ERROR ?? 0);
  if (elsewhere > 0) wrong.push(`${elsewhere} not in ERROR with an unresolved error (holdfast get)`);
  if (view.holds.length > 0) wrong.push(`${count(view.holds.length, 'operator hold')} in force (holdfast release)`);
  const total = Object.values<number>(view.phases).reduce((sum, number) => sum + number, 0);
  return {
    check: `fleet ${view.fleet}`,
    ok: wrong.length === 0,
    message: wrong.length === 0 ? `${total} instances, nothing wrong` : wrong.join('; '),
  };
}

function failed(check: string, error: unknown): Check {
  if (!(error instanceof Failure) && !(error instanceof ProblemFailure)) throw error;
  return { check, ok: false, message: error.message };
}
