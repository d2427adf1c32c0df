/**
 * Who this host is: the identity of this authority. Processes do not travel; on another host everything would look
 * missing and be started twice (L85).
 */
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { hostWork } from './failure.ts';

/**
 * `host:<hash>` of the machine id (which is not to be shown as such, machine-id(5)). Without one: a made-up id kept in the
 * data folder together with the host's name, so that a folder copied to another host is another identity there.
 */
export function hostIdentity(dataDir: string): string {
  const machine = readId('/etc/machine-id') ?? readId('/var/lib/dbus/machine-id');
  const id = machine ?? `${storedId(join(dataDir, 'host-id'))}@${hostname()}`;
  return `host:${createHash('sha256').update(`holdfast ${id}`).digest('hex').slice(0, 24)}`;
}

function readId(file: string): string | null {
  try {
    const id = readFileSync(file, 'utf8').trim();
    return /^[0-9a-f-]{32,36}$/.test(id) ? id : null;
  } catch {
    return null;
  }
}

function storedId(file: string): string {
  const before = readId(file);
  if (before !== null) return before;
  const id = randomUUID();
  hostWork(`write ${file}`, () => writeFileSync(file, `${id}\n`, { mode: 0o600 }));
  return id;
}
