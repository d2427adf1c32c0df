/**
 * The data folder: where one deployment keeps its log, its admin token, its agents' records, and how it can be reached.
 * Made on first use with a `.gitignore` of its own; everything secret in it is readable by its owner only.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { KEY_BYTES } from './secrets/seal.ts';
import { SecretError, type SecretKey } from './secrets/vault.ts';

export interface DataFolder {
  readonly path: string;
  readonly created: boolean;
}

export const AGENT_KEY_FILE = 'agent.key';
export const SECRET_KEY_FILE = 'secret.key';
/** The key of stored secrets, for hosts that share a store. */
export const SECRET_KEY_VARIABLE = 'HOLDFAST_SECRET_KEY';
const ADMIN_TOKEN_FILE = 'admin.token';
/** Base URL of the running server, for clients that start from the folder. */
const ENDPOINT_FILE = 'endpoint';
export const SERVER_FILE = 'holdfast.yaml';

/** The named folder, else the nearest `.holdfast/` upwards, else a new one here. */
export function openDataFolder(named: string | null, from: string): DataFolder {
  const path = named === null ? (nearest(from) ?? join(from, '.holdfast')) : resolve(from, named);
  const created = !existsSync(path);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (!existsSync(join(path, '.gitignore'))) writeFileSync(join(path, '.gitignore'), '*\n');
  return { path, created };
}

function nearest(from: string): string | null {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const found = join(folder, '.holdfast');
    if (existsSync(found)) return found;
    if (dirname(folder) === folder) return null;
  }
}

export function readServerText(folder: DataFolder): string {
  const path = join(folder.path, SERVER_FILE);
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

export function readAdminToken(folder: DataFolder): string | null {
  const path = join(folder.path, ADMIN_TOKEN_FILE);
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : null;
}

export function writeAdminToken(folder: DataFolder, token: string): void {
  writeFileSync(join(folder.path, ADMIN_TOKEN_FILE), `${token}\n`, { mode: 0o600 });
}

/** The key that agent tokens are made from: made once, kept for good. Another key makes every token void. */
export function agentKey(folder: DataFolder): Buffer {
  const path = join(folder.path, AGENT_KEY_FILE);
  if (!existsSync(path)) makeKey(path);
  const key = keyIn(readFileSync(path, 'utf8'));
  if (key !== null) return key;
  throw new Error(
    `${path} is damaged: restore it from a backup, or delete it; then every agent needs a new token (restart those that run here, "holdfast agent-token" for external ones)`,
  );
}

/**
 * The key that stored secrets are sealed with: `given` (64 hex digits, the same on every host that works on one store), else
 * a file here, made when the first secret is stored. Without it they are lost.
 */
export function secretKey(folder: DataFolder, given: string | null): SecretKey {
  const path = join(folder.path, SECRET_KEY_FILE);
  if (given !== null) {
    const where = `the environment variable ${SECRET_KEY_VARIABLE}`;
    const key = keyIn(given);
    // Without what was given: a slip in a key is as good as the key.
    if (key === null)
      throw new SecretError(`${where} is no key: it has to be 64 hex digits, as "openssl rand -hex 32" makes`);
    return { where, read: () => key, make: () => key };
  }
  const read = (): Buffer | null => {
    if (!existsSync(path)) return null;
    const key = keyIn(readFileSync(path, 'utf8'));
    if (key === null)
      throw new SecretError(`${path} is damaged: it has to hold 64 hex digits; restore it from a backup`);
    return key;
  };
  return { where: path, read, make: () => read() ?? makeKey(path) };
}

function makeKey(path: string): Buffer {
  const key = randomBytes(KEY_BYTES);
  // Whole or not at all: half a key would be taken for one.
  writeFileSync(`${path}.new`, `${key.toString('hex')}\n`, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
  return key;
}

function keyIn(text: string): Buffer | null {
  return /^[0-9a-f]{64}$/i.test(text.trim()) ? Buffer.from(text.trim(), 'hex') : null;
}

export function writeEndpoint(folder: DataFolder, url: string): void {
  writeFileSync(join(folder.path, ENDPOINT_FILE), `${url}\n`);
}

export function dropEndpoint(folder: DataFolder): void {
  rmSync(join(folder.path, ENDPOINT_FILE), { force: true });
}
