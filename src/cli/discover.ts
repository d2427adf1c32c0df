/**
 * Which server a command talks to, and as whom: HOLDFAST_URL and HOLDFAST_TOKEN, else what `holdfast up` wrote into the
 * data folder (`--data`, else the nearest `.holdfast/` upwards).
 *
 * A token found in a folder is sent only to the endpoint of that same folder.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Failure } from './failure.ts';
import type { Io } from './io.ts';
import { FOLDERS_UP } from './limits.ts';

export const DATA_FOLDER = '.holdfast';
/** Text: the base URL of the API. Written by `up` once it listens. */
const ENDPOINT_FILE = 'endpoint';
/** Text: a token of scope admin, mode 0600. */
export const TOKEN_FILE = 'admin.token';

export interface Endpoint {
  readonly url: URL;
  readonly token: string | null;
  /** Where the token was found, for messages: "HOLDFAST_TOKEN", or a file. */
  readonly tokenFrom: string;
}

/** Throws a `Failure` that says where it looked. */
export function discover(io: Pick<Io, 'env' | 'cwd'>, data: string | null): Endpoint {
  const said = nonEmpty(io.env['HOLDFAST_URL']);
  const saidToken = nonEmpty(io.env['HOLDFAST_TOKEN']);
  if (said !== null && data === null) {
    const url = baseUrl(said, 'HOLDFAST_URL');
    const near = saidToken === null ? nearestFolder(io.cwd) : null;
    if (near !== null && URL.parse(readText(join(near, ENDPOINT_FILE)) ?? '')?.origin === url.origin) {
      return { url, token: readText(join(near, TOKEN_FILE)), tokenFrom: join(near, TOKEN_FILE) };
    }
    return { url, token: saidToken, tokenFrom: 'HOLDFAST_TOKEN' };
  }
  const folder = data === null ? nearestFolder(io.cwd) : resolve(io.cwd, data);
  if (folder === null) {
    throw new Failure(
      'no-server',
      `Which server? HOLDFAST_URL is not set, and neither ${io.cwd} nor a folder above it has a ${DATA_FOLDER}/. ` +
        'Start one here with `holdfast up`, or set HOLDFAST_URL and HOLDFAST_TOKEN.',
    );
  }
  const endpointFile = join(folder, ENDPOINT_FILE);
  const url = readText(endpointFile);
  if (url === null) {
    throw new Failure(
      'no-server',
      `${folder} names no server (${endpointFile} is missing); is Holdfast running? Start it with \`holdfast up\`.`,
    );
  }
  const tokenFile = join(folder, TOKEN_FILE);
  const token = saidToken ?? readText(tokenFile);
  return { url: baseUrl(url, endpointFile), token, tokenFrom: saidToken === null ? tokenFile : 'HOLDFAST_TOKEN' };
}

/** The nearest `.holdfast/` from a folder upwards; null if there is none. */
export function nearestFolder(from: string): string | null {
  let at = resolve(from);
  for (let step = 0; step < FOLDERS_UP; step++) {
    const candidate = join(at, DATA_FOLDER);
    if (statSync(candidate, { throwIfNoEntry: false })?.isDirectory() === true) return candidate;
    const parent = dirname(at);
    if (parent === at) return null;
    at = parent;
  }
  return null;
}

/** The trimmed text of a small file; null when it is absent or empty. */
function readText(file: string): string | null {
  try {
    return nonEmpty(readFileSync(file, 'utf8').trim());
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new Failure('unreadable', `${file} cannot be read: ${message}`);
  }
}

function baseUrl(text: string, from: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new Failure('bad-url', `${from} is ${JSON.stringify(text)}, which is no http:// or https:// URL`);
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

function nonEmpty(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
