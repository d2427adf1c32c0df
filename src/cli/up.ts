/**
 * `holdfast up`: one process that keeps every declared fleet as declared. Everything that can go wrong at the start is one
 * clear sentence and exit code 2, never a stack trace.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { wordsOf } from '../core/error-words.ts';
import { parseListen, type Listen, type ServerFile } from '../core/server-file.ts';
import { createApp, listen, type Listening } from '../http/server.ts';
import { startProxy, type Proxy, type ProxyWorld } from '../proxy/server.ts';
import { compose, StartError, type Composed } from '../runtime/compose.ts';
import {
  dropEndpoint,
  openDataFolder,
  SECRET_KEY_VARIABLE,
  writeEndpoint,
  type DataFolder,
} from '../runtime/data-folder.ts';
import type { Log } from '../runtime/log.ts';
import { VERSION } from '../runtime/version.ts';
import type { UpOptions } from './commands/up.ts';
import { showQuickstart } from './quickstart.ts';
import { openServerLog } from './server-log.ts';

const EXIT_OK = 0;
const EXIT_ERROR = 2;
/** A second signal, or this long, ends the process without further ado. */
const SHUTDOWN_MS = 30_000;

export async function runUp(options: UpOptions): Promise<number> {
  let folder: DataFolder | null = null;
  let composed: Composed | null = null;
  /** What listens; while one of them does, the process lives on. */
  const doors: { close(): Promise<void> }[] = [];
  try {
    folder = openDataFolder(options.data, process.cwd());
    const bare = await openServerLog(logFileOf(folder, options), options.logLevel, sayError);
    let unheard: Log = bare;
    sayUnheard(() => unheard);
    process.on('SIGHUP', () => unheard.info({}, 'a hangup is ignored; end Holdfast with SIGTERM'));
    composed = await compose(folder, {
      storeUrl: options.store,
      log: bare,
      secretKey: givenKey(),
      withoutLostSecrets: options.withoutLostSecrets,
    });
    const { log } = composed;
    unheard = log;
    const server = await open(composed, options, log);
    doors.push(server);
    composed.registry.listensAt(server.url);
    const proxy = await openProxy(composed, options, server.port, log);
    doors.push(proxy);
    // First the door, then the work: an address in use must not leave a fleet taken over for nothing.
    await composed.start();
    writeEndpoint(folder, server.url);
    greet(folder, server.url, proxy.url, options);
    const ended = untilSignal();
    if (options.quickstart) await quickstart(composed);
    log.info({ signal: await ended, agents: options.stopAgents }, 'asked to end');
    setTimeout(() => process.exit(EXIT_ERROR), options.stopAgents ? 2 * SHUTDOWN_MS : SHUTDOWN_MS).unref();
    await Promise.all(doors.map((door) => door.close()));
    await composed.stop({ agents: options.stopAgents });
    dropEndpoint(folder);
    process.stdout.write(
      options.stopAgents
        ? 'Holdfast has ended, and its agents with it.\n'
        : 'Holdfast has ended. Its agents run on; the next start finds them.\n',
    );
    return EXIT_OK;
  } catch (error) {
    sayError(sentence(error));
    await Promise.allSettled(doors.map((door) => door.close()));
    await composed?.stop({ agents: false }).catch(() => undefined);
    return EXIT_ERROR;
  }
}

async function open(composed: Composed, options: UpOptions, log: Log): Promise<Listening> {
  const address = addressOf(options, composed);
  const { agentUrl } = composed.serverFile;
  // Whoever tells agents to ask for that name serves it.
  const allowedHosts = [...composed.serverFile.allowedHosts, ...(agentUrl === null ? [] : [new URL(agentUrl).host])];
  return listen(createApp(composed.control, { log, allowedHosts }), address);
}

/** Traffic for agents has an origin of its own: the port after the API's, unless said otherwise. */
function openProxy(
  { control, runtime, wake, serverFile }: Composed,
  options: UpOptions,
  apiPort: number,
  log: Log,
): Promise<Proxy> {
  const world: ProxyWorld = {
    wake,
    log,
    allowedHosts: serverFile.allowedHosts,
    identify: (token) => control.identify(token),
    exposed(fleetName, name) {
      const state = runtime.fleet(fleetName)?.loop.state;
      return state?.instances.get(state.names.get(name) ?? '')?.spec.expose ?? [];
    },
  };
  return startProxy(world, proxyAddress(options, serverFile, apiPort));
}

function proxyAddress(options: UpOptions, serverFile: ServerFile, apiPort: number): Listen {
  if (options.proxyListen !== null) return parsed(options.proxyListen);
  if (options.listen === null) return serverFile.proxyListen;
  // Any free port for the API means any free one here, too.
  const { host, port } = parsed(options.listen);
  return { host, port: port === 0 ? 0 : apiPort + 1 };
}

function addressOf(options: UpOptions, composed: Composed): Listen {
  return options.listen === null ? composed.serverFile.listen : parsed(options.listen);
}

function parsed(text: string): Listen {
  const address = parseListen(text);
  if (address !== null) return address;
  throw new StartError(`"${text}" is no address to listen on; write 127.0.0.1:7717, or just a port`);
}

const logFileOf = (folder: DataFolder, options: UpOptions): string =>
  options.logFile ?? join(folder.path, 'holdfast.log');

const sayError = (line: string): void => void process.stderr.write(`${line}\n`);

function greet(folder: DataFolder, url: string, proxyUrl: string, options: UpOptions): void {
  const lines = [
    `Holdfast ${VERSION} is up at ${url}`,
    `  proxy  ${proxyUrl}/i/FLEET/INSTANCE/`,
    `  data   ${folder.path}${folder.created ? ' (new)' : ''}`,
    `  token  ${join(folder.path, 'admin.token')}`,
    `  log    ${logFileOf(folder, options)}`,
    '',
  ];
  process.stdout.write(lines.join('\n'));
}

/** Declares the example fleet where there is none, and shows how it comes up. */
async function quickstart(composed: Composed): Promise<void> {
  const file = ['../../examples/quickstart/holdfast.yaml', '../../../examples/quickstart/holdfast.yaml']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => readable(path));
  if (file === undefined)
    throw new StartError(
      'the quickstart is part of a checkout of Holdfast; this is an installed package. Apply a manifest of your own: holdfast apply -f FILE',
    );
  await showQuickstart(composed, file, (line) => process.stdout.write(`${line}\n`));
}

function readable(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * A promise that fails with nobody listening is a fault of ours, and by itself would end the process, and with it the care
 * for every agent. It is said, and nothing else stops for it; what throws outside of every promise does end us.
 */
function sayUnheard(log: () => Log): void {
  process.on('unhandledRejection', (reason) => {
    const stack = reason instanceof Error ? reason.stack : undefined;
    log().error({ error: wordsOf(reason), stack }, 'a promise failed and nobody heard it; this is a fault of Holdfast');
  });
}

function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) {
        process.stderr.write('Asked twice: ending at once. Agents run on.\n');
        process.exit(EXIT_ERROR);
      }
      asked = true;
      resolve(signal);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

/** Taken out of our environment: nothing that we start has any business with it. */
function givenKey(): string | null {
  const given = process.env[SECRET_KEY_VARIABLE];
  delete process.env[SECRET_KEY_VARIABLE];
  return given ?? null;
}

function sentence(error: unknown): string {
  return wordsOf(error);
}
