/**
 * Sealing one version of a secret: AES-256-GCM under the key of this deployment.
 *
 *  1. Fleet, name and version are bound in as associated data: bytes that are moved to another row do not open.
 *  2. What was sealed says by which key (its id is no help in finding it), so that the wrong key is told from damage.
 *
 * Layout: 1 byte form (1), 8 bytes key id, 12 bytes nonce, 16 bytes tag, the rest ciphertext. The nonce is random: at
 * NIST's bound of 2³² values per key (SP 800-38D) somebody rotates a secret every second for 136 years.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

export interface SecretName {
  readonly fleet: string;
  readonly name: string;
  readonly version: number;
}

export type Opened =
  { readonly ok: true; readonly value: string } | { readonly ok: false; readonly why: 'other-key' | 'damaged' };

export const KEY_BYTES = 32;
const FORM = 1;
const ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + ID_BYTES + NONCE_BYTES + TAG_BYTES;

export function seal(key: Buffer, about: SecretName, value: string): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(boundTo(about));
  const text = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()]);
  return new Uint8Array(Buffer.concat([Buffer.of(FORM), idOf(key), nonce, cipher.getAuthTag(), text]));
}

export function open(key: Buffer, about: SecretName, sealed: Uint8Array): Opened {
  const bytes = Buffer.from(sealed);
  if (bytes.length < HEAD_BYTES || bytes[0] !== FORM) return { ok: false, why: 'damaged' };
  const [id, nonce, tag, text] = [
    bytes.subarray(1, 1 + ID_BYTES),
    bytes.subarray(1 + ID_BYTES, HEAD_BYTES - TAG_BYTES),
    bytes.subarray(HEAD_BYTES - TAG_BYTES, HEAD_BYTES),
    bytes.subarray(HEAD_BYTES),
  ];
  if (!id.equals(idOf(key))) return { ok: false, why: 'other-key' };
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(boundTo(about)).setAuthTag(tag);
    return { ok: true, value: Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8') };
  } catch {
    return { ok: false, why: 'damaged' };
  }
}

const idOf = (key: Buffer): Buffer =>
  createHmac('sha256', key).update('holdfast: id of a secret key').digest().subarray(0, ID_BYTES);

const boundTo = ({ fleet, name, version }: SecretName): Buffer =>
  Buffer.from(JSON.stringify(['holdfast secret', fleet, name, version]));
