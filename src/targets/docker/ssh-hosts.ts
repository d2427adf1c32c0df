/**
 * Is the server that answers an ssh connection the one that was meant? By a fingerprint that the operator gave, else by
 * `~/.ssh/known_hosts`, as ssh itself does it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; plain and hashed names; no patterns, no
 * certificates). Nobody known is nobody trusted.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Answers whether that key (as on the wire) is the host's. */
export function hostKeyCheck(
  host: string,
  port: number,
  fingerprint: string | null,
  home: string,
): (key: Buffer) => boolean {
  if (fingerprint !== null) {
    const wanted = fingerprint.replace(/^SHA256:/, '').replace(/=$/, '');
    return (key) => createHash('sha256').update(key).digest('base64').replace(/=+$/, '') === wanted;
  }
  // Read at each connection: whoever adds the host need not restart us.
  return (key) =>
    knownKeys(join(home, '.ssh', 'known_hosts'), port === 22 ? host : `[${host}]:${port}`).some((known) =>
      same(known, key),
    );
}

function knownKeys(file: string, name: string): readonly Buffer[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return []; // No such file: no host is known.
  }
  const keys: Buffer[] = [];
  for (const line of text.split('\n')) {
    const [names = '', , key] = line.trim().split(/\s+/);
    // "@revoked" and "@cert-authority" lines begin with a marker, which names no host.
    if (key !== undefined && names.split(',').some((one) => one === name || isHashOf(one, name)))
      keys.push(Buffer.from(key, 'base64'));
  }
  return keys;
}

/** "|1|salt|hash": HMAC-SHA1 of the name under the salt. */
function isHashOf(hashed: string, name: string): boolean {
  const [, version, salt, hash] = hashed.split('|');
  if (version !== '1' || salt === undefined || hash === undefined) return false;
  return same(createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest(), Buffer.from(hash, 'base64'));
}

const same = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b);
