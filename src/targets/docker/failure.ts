/**
 * Failures in the words of the port: who is at fault, whether trying again can help, and a sentence for the reader.
 *
 * What never reached an engine, or got no answer, is the target's fault; what an engine answered is the instance's, unless it
 * is about the engine's own disk.
 */
import { wordsOf } from '../../core/error-words.ts';
import type { Look } from '../../core/model.ts';
import { TargetError } from '../../ports/target.ts';

/** The instance cannot run as declared; only another spec (or a helping hand) does. */
export function terminal(code: string, message: string, saw: Look | null = null, cause?: unknown): TargetError {
  return new TargetError({ class: 'terminal', fault: 'instance', code, message }, saw, { cause });
}

/** This try failed, the next may not. */
export function transient(code: string, message: string, saw: Look | null = null, cause?: unknown): TargetError {
  return new TargetError({ class: 'transient', fault: 'instance', code, message }, saw, { cause });
}

/** The world is not what the caller thought; look again. */
export function conflict(code: string, message: string, saw: Look | null): TargetError {
  return new TargetError({ class: 'conflict', fault: 'instance', code, message }, saw);
}

/** The engine fails, or cannot be reached: no instance is to blame. */
export function engineFault(code: string, message: string, cause?: unknown): TargetError {
  return new TargetError({ class: 'transient', fault: 'target', code, message }, null, { cause });
}

/** The engine is there and will not have us: only an operator helps. */
export function refused(code: string, message: string, cause?: unknown): TargetError {
  return new TargetError({ class: 'terminal', fault: 'target', code, message }, null, { cause });
}

/** The HTTP status that a failure rests on; null when the engine answered nothing. */
export function statusOf(error: unknown): number | null {
  const at = error instanceof TargetError ? error.cause : error;
  return isObject(at) && typeof at['statusCode'] === 'number' ? at['statusCode'] : null;
}

/** The engine's own words, without the wrapping of its client. */
export function engineWords(error: unknown): string {
  const at = error instanceof TargetError && error.cause !== undefined ? error.cause : error;
  if (isObject(at) && isObject(at['json']) && typeof at['json']['message'] === 'string') return at['json']['message'];
  return wordsOf(at);
}

/** A failed question to the engine at `address`, while we tried to `doing`. */
export function engineFailure(doing: string, address: string, error: unknown): TargetError {
  const status = statusOf(error);
  const words = engineWords(error);
  if (status === null) return unreachable(doing, address, words, error);
  const message = `could not ${doing}: the engine at ${address} says: ${words}`;
  if (status === 401 || status === 403) return refused('no-access', message, error);
  if (/HTTP request to an HTTPS server/i.test(words)) return refused('no-access', `${message}; say certs`, error);
  if (/no space left on device|disk quota exceeded/i.test(words)) return engineFault('disk-full', message, error);
  return transient('engine-error', message, null, error);
}

function unreachable(doing: string, address: string, words: string, error: unknown): TargetError {
  const code = isObject(error) && typeof error['code'] === 'string' ? error['code'] : '';
  const hint = accessHint(code, isObject(error) ? error['level'] : undefined, words);
  if (hint !== null) {
    return refused('no-access', `could not ${doing}: no way in to the engine at ${address}: ${words}${hint}`, error);
  }
  return engineFault(
    'engine-unreachable',
    `could not ${doing}: no answer from the engine at ${address}: ${words}`,
    error,
  );
}

/** What an operator can do about a refusal; null where it is none. `level`: of ssh2. */
function accessHint(code: string, level: unknown, words: string): string | null {
  if (code === 'EACCES') return '; this user may not use its socket (is it in the group "docker"?)';
  if (level === 'client-authentication') return '; offer another key (identityFile, or SSH_AUTH_SOCK)';
  if (/host denied/i.test(words)) return '; its key is not the one in hostKey, or is in no known_hosts (ssh-keyscan)';
  return /CERT|SELF_SIGNED|UNABLE_TO_|INVALID_CA|ERR_TLS|ERR_SSL/.test(code) ? '; check the files in certs' : null;
}

/** What keeps a container from being created or started. `what` names the instance and its container. */
export function startFailure(
  what: string,
  run: { readonly image: string },
  error: TargetError,
  saw: Look | null,
): TargetError {
  const status = statusOf(error);
  if (status === null || error.detail.fault === 'target')
    return new TargetError(error.detail, saw, { cause: error.cause });
  const words = engineWords(error);
  const message = (hint: string): string => `could not start ${what}: ${words}; ${hint}`;
  const gone = /get (\S+): no such volume|mount source "[^"]*\/volumes\/([^"/]+)\/_data"/.exec(words);
  if (gone) return dataMissing(what, gone[1] ?? gone[2] ?? '?', saw);
  if (/port is already allocated|address already in use|failed to bind/i.test(words)) {
    return transient(
      'port-taken',
      message('free that port, or leave the host port out of run.ports to get any free one'),
      saw,
      error.cause,
    );
  }
  if (
    /executable file not found|no such file or directory|exec format error|is a directory|permission denied/i.test(
      words,
    ) &&
    /exec|shim|runc|OCI/i.test(words)
  ) {
    return terminal(
      'command-not-found',
      message(`correct run.command or run.entrypoint, or the image ${run.image}`),
      saw,
      error.cause,
    );
  }
  if (/no command specified/i.test(words))
    return terminal('command-missing', message('say run.command'), saw, error.cause);
  if (/unable to find (user|group)|no matching entries in passwd/i.test(words)) {
    return terminal('user-missing', message(`correct run.user, or the image ${run.image}`), saw, error.cause);
  }
  if (status === 400 || /is not a directory|invalid|not supported/i.test(words)) {
    return terminal('refused-by-engine', message('correct the run section'), saw, error.cause);
  }
  return transient('start-failed', `could not start ${what}: ${words}`, saw, error.cause);
}

/** An expected volume is gone. Starting empty would look like health and be loss (L39, L72). */
export function dataMissing(what: string, volume: string, saw: Look | null): TargetError {
  return terminal(
    'data_missing',
    `${what} had its data in volume ${volume}, which is gone; it is not started empty. Restore it ("docker volume create ${volume}" and fill it), take over another one (run.volumes: { …: { path, name } }), or delete the instance`,
    saw,
  );
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null;
}
