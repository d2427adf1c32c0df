/**
 * Makes sure that node_modules is what package-lock.json says, so that `npm start` and `npm test` work on a bare clone.
 *
 * Runs before the first install, on whatever Node the machine has, hence plain JavaScript and nothing but built-ins. The
 * install brings the Node that everything else runs on: the dev dependency `node`, which npm finds first on its PATH.
 *
 *  1. Quiet when there is nothing to do; one line when it installs; npm's own words only when it fails.
 *  2. Never leaves a stamp behind for an install that did not finish.
 *  3. One at a time in a checkout: who comes while another one installs waits for it, instead of removing what it writes.
 *
 * `npm install --no-save`, not `npm ci`: the lock pins everything all the same, but `ci` refuses a lock without an entry for
 * every optional binary of every platform, and npm writes such locks wherever a registry holds only some (npm 11, seen with
 * oxlint); and `ci` deletes the tree under whatever is running from it.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const INSTALL_DEADLINE_MS = 15 * 60_000;
const LOOK_EVERY_MS = 250;
const MAX_LINES = 25;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** What the dev dependency `node` and npm 10+ need to install. */
const OLDEST_NODE = [20, 19];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
/** Of whoever installs now. */
const lockFile = join(root, '.holdfast-install');
const stampFile = join(modules, '.holdfast-stamp');

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
  fail(`Holdfast needs Node ${OLDEST_NODE.join('.')} or newer to set itself up; this is ${process.versions.node}.`);
}

const wanted = stamp();
if (isStale()) {
  lock();
  try {
    // Whoever was waited for may have done it.
    if (isStale()) {
      if (!ready() || !matchesLock()) install();
      writeStamp();
    }
  } finally {
    unlock();
  }
}

function isStale() {
  return read(stampFile) !== wanted || !ready();
}

/** Beside the tree, not in it: an install may begin by removing that. Holds our pid, so that one left by a killed install is seen to be stale. */
function lock() {
  const deadline = Date.now() + INSTALL_DEADLINE_MS;
  const mine = `${lockFile}.${process.pid}`;
  let told = false;
  for (;;) {
    try {
      // Whole or not there: one without a pid in it would be nobody's, and in the way for ever.
      writeFileSync(mine, `${process.pid}\n`);
      linkSync(mine, lockFile);
      process.on('exit', unlock);
      return;
    } catch (error) {
      // A tree that this user may not write to: an install fails by itself, with npm's words.
      if (error.code !== 'EEXIST') return;
    } finally {
      rmSync(mine, { force: true });
    }
    const owner = Number.parseInt(read(lockFile) ?? '', 10);
    if (!isAlive(owner)) {
      rmSync(lockFile, { force: true });
      continue;
    }
    if (Date.now() > deadline) fail(`Holdfast is being installed here by process ${owner}, and does not get done.`);
    if (!told) console.error(`holdfast: process ${owner} is installing the dependencies; waiting for it …`);
    told = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_EVERY_MS);
  }
}

function unlock() {
  if (Number.parseInt(read(lockFile) ?? '', 10) === process.pid) rmSync(lockFile, { force: true });
}

function isAlive(pid) {
  if (Number.isNaN(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Changes whenever another install is due: the lock (or, without one, package.json), and the machine it was made for. */
function stamp() {
  const text = read(join(root, 'package-lock.json')) ?? read(join(root, 'package.json')) ?? '';
  const hash = createHash('sha256').update(text).digest('hex');
  return `${hash} ${process.platform}-${process.arch}\n`;
}

function ready() {
  return existsSync(join(modules, '.bin', process.platform === 'win32' ? 'node.cmd' : 'node'));
}

/** True when somebody already ran npm by hand: npm's own record of the tree agrees with the lock, package by package. */
function matchesLock() {
  const lock = packages(join(root, 'package-lock.json'));
  const tree = packages(join(modules, '.package-lock.json'));
  if (lock === null || tree === null) return false;
  const same = (path) => lock[path]?.version === tree[path]?.version && lock[path]?.integrity === tree[path]?.integrity;
  // What is optional elsewhere is for other platforms; what we name ourselves is for all.
  const named = Object.keys(lock['']?.optionalDependencies ?? {}).map((name) => `node_modules/${name}`);
  const needed = Object.keys(lock).filter(
    (path) => path !== '' && ((lock[path].optional !== true && lock[path].peer !== true) || named.includes(path)),
  );
  return needed.every(same) && Object.keys(tree).every(same);
}

function packages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? null;
  } catch {
    return null; // absent or torn: either way it proves nothing, and an install follows
  }
}

function install() {
  console.error('holdfast: installing dependencies, about a minute the first time …');
  // A tree without the Node in it is a torn one, and npm would trust what it finds.
  if (!ready()) rmSync(modules, { recursive: true, force: true });
  // `--include=dev`, because NODE_ENV=production would leave out the very Node that this needs.
  const args = [
    'install',
    '--no-save',
    '--include=dev',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
    '--loglevel=warn',
  ];
  // npm's own pauses, 10 s and 60 s for each package in turn, make an offline machine wait for more than ten minutes.
  args.push('--fetch-retries=1', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=3000');
  const npm = process.env.npm_execpath;
  const result = spawnSync(...(npm ? [process.execPath, [npm, ...args]] : ['npm', args]), {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: MAX_OUTPUT_BYTES,
    timeout: INSTALL_DEADLINE_MS,
  });
  if (result.status === 0 && ready()) return;
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n');
  const lines = said.filter((line) => !/^npm (warn|notice)/.test(line)).slice(0, MAX_LINES);
  fail(`Holdfast could not install its dependencies: npm install ${outcome(result)}. npm said:\n${lines.join('\n')}`);
}

function outcome(result) {
  if (result.error?.code === 'ETIMEDOUT') return `was not done after ${INSTALL_DEADLINE_MS / 60_000} minutes`;
  if (result.error) return `could not be run (${result.error.message})`;
  if (result.signal) return `was ended by ${result.signal}`;
  if (result.status === 0)
    return 'finished, but without the Node it should have brought (are install scripts switched off?)';
  if (/\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH|ENOTCACHED)\b/.test(result.stderr)) {
    return 'could not reach the registry (is this machine offline, or behind a proxy?)';
  }
  return `ended with exit code ${result.status}`;
}

function writeStamp() {
  try {
    writeFileSync(stampFile, stamp());
  } catch {
    // A tree that this user may not write to (installed by root, run by another) still works; it is only compared again.
  }
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null; // absent counts as stale
  }
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
