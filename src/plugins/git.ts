/**
 * The system's git, kept on a short leash:
 *
 *  1. Nothing of a repository is executed: no hooks, no filters (nothing is ever checked out), no submodules, no templates,
 *     no helper but the transport that the source names.
 *  2. Nothing of this user or host is used that was not asked for: no configuration, no credentials, no prompt.
 *  3. A secret travels in the environment, where only this user can read it: never in arguments, addresses or messages.
 *  4. It ends: at its signal with everything that it began; when a server dawdles; when what it writes grows too large.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { wordsOf } from '../core/error-words.ts';
import { PACK_BYTES, SLOW_BYTES_PER_SECOND, SLOW_SECONDS, WORDS_BYTES } from './limits.ts';

export type Transport = 'https' | 'http' | 'ssh' | 'file';

export interface GitAsk {
  /** null: none is spoken. */
  readonly transport: Transport | null;
  /** One HTTP header, its secrets filled in. */
  readonly header?: string | null;
  readonly input?: string;
  /** Takes what git writes, piece by piece; true: that is enough, end it. */
  take?(chunk: Buffer): boolean;
  readonly signal: AbortSignal;
}

export class GitError extends Error {
  override readonly name = 'GitError';
}

export type Git = (args: readonly string[], ask: GitAsk) => Promise<void>;

const CONFIG = `
[core]
  hooksPath = /dev/null
  fsmonitor = false
  askPass = true
  bigFileThreshold = 1m
[safe]
  directory = *
[credential]
  helper =
[http]
  followRedirects = false
  lowSpeedLimit = ${SLOW_BYTES_PER_SECOND}
  lowSpeedTime = ${SLOW_SECONDS}
[protocol]
  version = 2
[fetch]
  unpackLimit = 1
  recurseSubmodules = false
[transfer]
  bundleURI = false
[gc]
  auto = 0
[maintenance]
  auto = false
[pack]
  threads = 1
`;

/** Of our own environment only what says how to reach the outside. */
const PASSED = [
  'PATH',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSL_CAINFO',
  'SSH_AUTH_SOCK',
  'TMPDIR',
];

/** POSIX counts files in blocks of 512 bytes. */
const BLOCKS = String(Math.ceil(PACK_BYTES / 512));

/** What ssh is told in so many words; null: as it is for this user. */
export interface SshFiles {
  readonly key: string | null;
  readonly knownHosts: string | null;
}

/** `folder`: one of ours, for its configuration and an empty home. */
export function openGit(folder: string, ssh: SshFiles): Git {
  const home = join(folder, 'home');
  const config = join(folder, 'gitconfig');
  mkdirSync(home, { recursive: true, mode: 0o700 });
  writeFileSync(config, CONFIG, { mode: 0o600 });

  const sshCommand = ['ssh', ...sshOptions(ssh).map((option) => quoted(`-o${option}`))].join(' ');

  function environment({ transport, header }: GitAsk): { [name: string]: string } {
    const env: { [name: string]: string } = {};
    for (const name of PASSED) {
      const value = process.env[name];
      if (value !== undefined) env[name] = value;
    }
    return {
      ...env,
      LC_ALL: 'C',
      HOME: home,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: config,
      GIT_ATTR_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ALLOW_PROTOCOL: transport ?? 'none',
      GIT_NO_LAZY_FETCH: '1',
      GIT_NO_REPLACE_OBJECTS: '1',
      GIT_OPTIONAL_LOCKS: '0',
      GIT_SSH_COMMAND: sshCommand,
      GIT_SSH_VARIANT: 'ssh',
      ...(header != null && {
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'http.extraHeader',
        GIT_CONFIG_VALUE_0: header,
      }),
    };
  }

  return (args, ask) =>
    new Promise((resolve, reject) => {
      ask.signal.throwIfAborted();
      const script = 'ulimit -f "$0" && exec git "$@"';
      // A group of its own, so that its helpers end with it.
      const child = spawn('/bin/sh', ['-c', script, BLOCKS, ...args], {
        cwd: folder,
        env: environment(ask),
        stdio: ['pipe', 'pipe', 'pipe'],
        detached: true,
      });
      const { pid } = child;
      let words = '';
      let enough = false;
      const end = (): void => {
        try {
          if (pid !== undefined) process.kill(-pid, 'SIGKILL');
        } catch {
          // It has just ended by itself.
        }
      };
      ask.signal.addEventListener('abort', end, { once: true });
      child.stdin.on('error', () => undefined);
      child.stdin.end(ask.input ?? '');
      child.stdout.on('data', (chunk: Buffer) => {
        if (enough || ask.take?.(chunk) !== true) return;
        enough = true;
        end();
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-WORDS_BYTES)));
      child.once('error', (error) => reject(new GitError(`git cannot be run (is it installed?): ${wordsOf(error)}`)));
      child.once('close', (code, killedBy) => {
        ask.signal.removeEventListener('abort', end);
        if (ask.signal.aborted) reject(ask.signal.reason as Error);
        else if (code === 0 || enough) resolve();
        else if (killedBy === 'SIGXFSZ' || /File too large|SIGXFSZ|File size limit/.test(words))
          reject(new GitError(`it sends more than ${PACK_BYTES / 1024 / 1024} MiB`));
        else reject(new GitError(saidBy(words, ask.header ?? null) || `git ended with ${String(code ?? killedBy)}`));
      });
    });
}

/**
 * A server that is not known is refused, whatever this user's own ssh is configured to do: whoever answers in its place could
 * hand out any plugin. Nobody is asked anything, and nothing of ours is offered to the other side but the key.
 */
function sshOptions({ key, knownHosts }: SshFiles): readonly string[] {
  return [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    'UpdateHostKeys=no',
    'ForwardAgent=no',
    'ForwardX11=no',
    'ClearAllForwardings=yes',
    'PermitLocalCommand=no',
    `ConnectTimeout=${SLOW_SECONDS}`,
    'ServerAliveInterval=5',
    'ServerAliveCountMax=3',
    ...(key === null ? [] : [`IdentityFile=${inConfig(key)}`, 'IdentitiesOnly=yes']),
    ...(knownHosts === null ? [] : [`UserKnownHostsFile=${inConfig(knownHosts)}`, 'GlobalKnownHostsFile=/dev/null']),
  ];
}

/** A path in an option of ssh: in quotes for its spaces, and "%" is its own. */
const inConfig = (path: string): string => `"${path.replaceAll('%', '%%')}"`;
/** One word for the shell that git hands the command to. */
const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** What git says of every failed ssh, which says nothing. */
const IDLE_WORDS =
  /^(?:Could not read from remote repository\.|Please make sure you have the correct access rights|and the repository exists\.)$/;

/** What git said, on one line. It does not repeat headers; should it ever, their values are left out. */
function saidBy(words: string, header: string | null): string {
  const secret = header === null ? '' : header.slice(header.indexOf(':') + 1).trim();
  const clean = secret === '' ? words : words.replaceAll(secret, '…');
  return clean
    .split('\n')
    .map((line) => line.replace(/^(?:fatal|error|remote|warning): /, '').trim())
    .filter((line) => line !== '' && !IDLE_WORDS.test(line))
    .slice(-3)
    .join('; ');
}
