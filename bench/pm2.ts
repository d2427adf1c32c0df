/**
 * PM2, installed by the benchmark itself: it is no dependency of the project. Kept in `.cache/` for the next run; its daemon
 * has a home of its own, so that nobody's own PM2 is touched.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CACHE = fileURLToPath(new URL('../.cache/pm2', import.meta.url));
const BIN = join(CACHE, 'node_modules', 'pm2', 'bin', 'pm2');
const INSTALL_DEADLINE_MS = 5 * 60_000;
const COMMAND_DEADLINE_MS = 2 * 60_000;

export interface Pm2App {
  readonly name: string;
  readonly script: string;
  readonly env: { readonly [name: string]: string };
  readonly interpreter: string;
  /** false: without PM2's own module (metrics, actions) loaded into the agent, which is lighter than its default. */
  readonly pmx: boolean;
}

export interface Pm2 {
  readonly version: string;
  start(apps: readonly Pm2App[]): Promise<void>;
  /** Ends the daemon and everything it started. */
  end(): Promise<void>;
}

export async function openPm2(home: string): Promise<Pm2> {
  if (!existsSync(BIN)) {
    mkdirSync(CACHE, { recursive: true });
    await run('npm', ['install', 'pm2', '--prefix', CACHE, '--no-audit', '--no-fund', '--loglevel=error'], {
      timeout: INSTALL_DEADLINE_MS,
    });
  }
  const { version } = JSON.parse(readFileSync(join(CACHE, 'node_modules', 'pm2', 'package.json'), 'utf8')) as {
    version: string;
  };
  const env = { ...process.env, PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: 'true', PM2_DISCRETE_MODE: 'true' };
  const pm2 = async (...args: readonly string[]): Promise<void> => {
    await run(process.execPath, [BIN, ...args], { env, timeout: COMMAND_DEADLINE_MS });
  };
  return {
    version,
    async start(apps) {
      const file = join(home, 'apps.json');
      mkdirSync(home, { recursive: true });
      // Its defaults but for these: one process each (`fork`), restarted at once and without end.
      writeFileSync(
        file,
        JSON.stringify({
          apps: apps.map((app) => ({ ...app, exec_mode: 'fork', autorestart: true, restart_delay: 0 })),
        }),
      );
      await pm2('start', file);
    },
    async end() {
      await pm2('kill');
    },
  };
}
