/**
 * Spawning an agent: detached (own session and process group), with a clean environment, its output in its own file and
 * nothing of ours open, so that it outlives the control plane.
 *
 * A spawn that fails says why in words that can be acted upon; what the spec is to blame for is terminal, what the host
 * is to blame for is not. A command that ends within milliseconds was started all the same: its end is another fact.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, statSync, type Stats } from 'node:fs';
import { delimiter, isAbsolute, resolve } from 'node:path';
import { wordsOf } from '../../core/error-words.ts';
import type { Subject, TargetError } from '../../ports/target.ts';
import { registerChild, type OwnChild } from './children.ts';
import { errnoOf, hostFault, terminal, transient } from './failure.ts';
import { markToEnv, type Mark } from './mark.ts';
import { RESERVED_PREFIX, type ProcessRun } from './run.ts';

/** All that an agent inherits from our own environment. */
const INHERITED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'TMPDIR'];
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** The host has no room at present. */
const EXHAUSTED = ['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ENOSPC'];

type Environment = { readonly [name: string]: string };

/** Basics < what is declared < what the runtime adds < the mark. The runtime alone may add `HOLDFAST_…` of its own. */
export function agentEnvironment(subject: Subject, run: ProcessRun, mark: Mark): Environment {
  const env: { [name: string]: string } = { PATH: DEFAULT_PATH };
  for (const name of INHERITED) {
    const value = process.env[name];
    if (value !== undefined) env[name] = name === 'PATH' ? withoutNpm(value) : value;
  }
  for (const [name, value] of Object.entries(run.env)) if (!name.startsWith(RESERVED_PREFIX)) env[name] = value;
  return { ...env, ...subject.env, ...markToEnv(mark) };
}

/** npm puts folders of the package it runs in front; what `node` means to an agent must not depend on how we were started. */
function withoutNpm(path: string): string {
  const kept = path.split(':').filter((folder) => !/\/node_modules\/\.bin\/?$|\/node-gyp-bin\/?$/.test(folder));
  return kept.length === 0 ? DEFAULT_PATH : kept.join(':');
}

/** Spawns, or rejects with the reason. `log` is an open file; the caller closes its own copy. */
export async function spawnAgent(run: ProcessRun, env: Environment, log: number): Promise<OwnChild> {
  const [file = '', ...args] = run.command;
  let child: ChildProcess;
  try {
    child = spawn(file, args, { cwd: run.cwd, env, detached: true, shell: false, stdio: ['ignore', log, log] });
  } catch (error) {
    throw spawnFailure(run, env, error);
  }
  const { pid } = child;
  if (pid === undefined) {
    throw spawnFailure(run, env, await new Promise<unknown>((told) => child.once('error', told)));
  }
  // After the spawn, `error` could only tell of a signal that we send through the child object, which we never do.
  child.on('error', () => undefined);
  child.unref();
  return registerChild(child, pid);
}

/** What would keep the command from being started, as far as it can be known without trying; null: nothing. */
export function commandProblem(run: ProcessRun, env: Environment): TargetError | null {
  return cwdProblem(run.cwd) ?? fileProblem(run, env['PATH'] ?? DEFAULT_PATH);
}

function cwdProblem(cwd: string): TargetError | null {
  try {
    if (statSync(cwd).isDirectory()) return null;
    return terminal('cwd-not-directory', `run.cwd ${cwd} is a file; an agent needs a directory to be started in`);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      return terminal('cwd-missing', `run.cwd ${cwd} does not exist on this host; create it or correct run.cwd`);
    }
    return terminal('cwd-unusable', `run.cwd ${cwd} cannot be used: ${wordsOf(error)}`);
  }
}

function fileProblem(run: ProcessRun, path: string): TargetError | null {
  const name = run.command[0] ?? '';
  const places = name.includes('/') ? [''] : path.split(delimiter);
  let found: string | null = null;
  for (const place of places) {
    const file = isAbsolute(name) ? name : resolve(run.cwd, place, name);
    const stat = statIfThere(file);
    if (stat === null) continue;
    found ??= stat.isFile() ? `${file} is not executable` : `${file} is not a file`;
    if (stat.isFile() && mayExecute(file)) return null;
  }
  if (found !== null) {
    return terminal('command-not-executable', `cannot start "${name}": ${found}; correct run.command or its mode`);
  }
  const where = name.includes('/') ? `there is no ${resolve(run.cwd, name)}` : `it is in no folder of PATH (${path})`;
  return terminal('command-not-found', `cannot start "${name}": ${where}; install it or correct run.command`);
}

function spawnFailure(run: ProcessRun, env: Environment, error: unknown): TargetError {
  const name = run.command[0] ?? '';
  const code = errnoOf(error);
  if (EXHAUSTED.includes(code)) {
    return hostFault('no-resources', `the host has no room to start "${name}": ${wordsOf(error)}`, error);
  }
  const problem = commandProblem(run, env);
  if (problem) return problem;
  switch (code) {
    case 'ENOENT':
      return terminal(
        'interpreter-missing',
        `cannot start "${name}": the interpreter that it names does not exist`,
        error,
      );
    case 'E2BIG':
      return terminal(
        'arguments-too-long',
        `cannot start "${name}": run.command and run.env together are too long`,
        error,
      );
    case 'EACCES':
    case 'EPERM':
      return terminal('command-not-executable', `cannot start "${name}": this user may not execute it`, error);
    case 'ETXTBSY':
      return transient('command-busy', `cannot start "${name}": it is being written to just now`, error);
    default:
      return terminal('spawn-failed', `cannot start "${name}": ${wordsOf(error)}`, error);
  }
}

function statIfThere(file: string): Stats | null {
  try {
    return statSync(file);
  } catch {
    return null; // Not there or not to be seen: either way execvp(3) passes over it.
  }
}

function mayExecute(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
