/** A key of stored secrets that is in no file. */
import type { SecretKey } from '../../src/runtime/secrets/vault.ts';

/** `made: false`: there is none yet. */
export function testKey(byte = 7, made = true): SecretKey {
  let key = made ? Buffer.alloc(32, byte) : null;
  return { where: 'the test', read: () => key, make: () => (key ??= Buffer.alloc(32, byte)) };
}
