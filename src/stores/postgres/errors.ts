/**
 * What a failure of PostgreSQL means to an operator, in a sentence that never holds the password.
 * SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import { wordsOf } from '../../core/error-words.ts';
import { StoreError } from '../../ports/store.ts';

/** A server as it may be shown and logged, and the secret that must not be. */
export interface Server {
  /** `postgres://user@host:port/database`. */
  readonly where: string;
  readonly password: string;
}

export function describeServer(url: string): Server {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    // Without the text that was given and without a cause: both would show the password.
    throw new StoreError('unreachable', 'The database address is not a URL; write postgres://user@host:5432/database.');
  }
  const user = parsed.username === '' ? '' : `${parsed.username}@`;
  const host = parsed.host === '' ? (parsed.searchParams.get('host') ?? 'localhost') : parsed.host;
  return {
    where: `postgres://${user}${host}${parsed.pathname}`,
    password: decode(parsed.password === '' ? (parsed.searchParams.get('password') ?? '') : parsed.password),
  };
}

/** Classes of SQLSTATE that speak of the server's state, not of a wrong statement. */
const SERVER_STATES = /^(08|25|28|3D|40|42501|53|55|57|58|XX)/;

/** An error of a query or a connection, as what the store says; a wrong statement (a bug of ours) stays as it is. */
export function storeError(error: unknown, server: Server, tried: string): unknown {
  if (!(error instanceof Error) || error instanceof StoreError) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const said = scrub(wordsOf(error), server.password);
  if (code === '53100') {
    const text = `The database at ${server.where} has no space left (tried to ${tried}; nothing was written).`;
    return new StoreError('full', `${text} Free some space there.`, { cause: error });
  }
  if (code === 'XX001' || code === 'XX002') {
    const text = `The database at ${server.where} is damaged (tried to ${tried}; it says: ${said}).`;
    return new StoreError('corrupt', `${text} Restore it from a backup.`, { cause: error });
  }
  if (isSqlState(code) && !SERVER_STATES.test(code)) return error;
  return new StoreError(
    'unreachable',
    `The database at ${server.where} cannot be used (tried to ${tried}; it says: ${said}).`,
    { cause: error },
  );
}

function isSqlState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code) && /[0-9]/.test(code);
}

function scrub(text: string, password: string): string {
  return password === '' ? text : text.replaceAll(password, '…').replaceAll(encodeURIComponent(password), '…');
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
