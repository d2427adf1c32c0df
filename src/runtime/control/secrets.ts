/**
 * Stored secrets: a value goes in, and comes out only into an agent's environment and config.
 *
 * Storing is two steps: the sealed value, then the fact that its version is in force. A crash between them leaves a version
 * that no fact names: nobody is given it, and the next one stored under the name has another number.
 */
import { wordsOf } from '../../core/error-words.ts';
import type { By } from '../../core/events.ts';
import { SECRET_BYTES } from '../../core/limits.ts';
import {
  hasRoomFor,
  isSecretName,
  listSecrets,
  nextVersion,
  rotation,
  SECRET_NAME_WORDS,
  usersOf,
} from '../../core/secrets.ts';
import { MAX_SECRETS } from '../../core/limits.ts';
import type { FleetState } from '../../core/model.ts';
import { iso } from '../../core/time.ts';
import { StoreError } from '../../ports/store.ts';
import { Refusal, type SecretInfo, type SecretResult } from '../api.ts';
import type { Fleet } from '../fleet.ts';
import { REDACTED_CHARS, STORE_TRIES } from '../secrets/limits.ts';
import { SecretError } from '../secrets/vault.ts';
import type { World } from '../world.ts';
import { append, fleetOf, taken, upToDate } from './fleets.ts';

/** Names of users in an answer; beyond it they are only counted. */
const USERS_SHOWN = 100;

export function secrets(world: World, fleetName: string): readonly SecretInfo[] {
  return listSecrets(fleetOf(world, fleetName).loop.state).map(({ name, version, at, usedBy }) => ({
    name,
    version,
    storedAt: iso(at),
    usedBy: usedBy.slice(0, USERS_SHOWN),
    users: usedBy.length,
  }));
}

export async function putSecret(
  world: World,
  fleetName: string,
  name: string,
  value: string,
  by: By,
): Promise<SecretResult> {
  checkName(name);
  checkValue(value);
  const fleet = await world.runtime.ensure(fleetName);
  let version = 0;
  return untilUndisturbed(fleet, async () => {
    checkPlace(fleet.loop.state, name, value);
    if (version < nextVersion(fleet.loop.state, name)) version = await sealed(world, fleet, name, value);
    // From here on nothing waits: the fact is made of the state that it is appended to.
    const { state } = fleet.loop;
    if (version < nextVersion(state, name)) throw new StoreError('conflict', 'a newer version is in force already');
    const fact = rotation(state, world.targetTypes, name, version);
    const [written] = await append(world, fleet, [{ type: 'secret.rotated', data: fact, by }], state.seq);
    const seq = written?.seq ?? 0;
    await taken(fleet, seq);
    await fleet.tidySecrets();
    const usedBy = usersOf(fleet.loop.state, name);
    return {
      seq,
      name,
      version,
      usedBy: usedBy.slice(0, USERS_SHOWN),
      users: usedBy.length,
      note: noteOf(fleet.loop.state, value),
    };
  });
}

export async function deleteSecret(world: World, fleetName: string, name: string, by: By): Promise<void> {
  const fleet = fleetOf(world, fleetName);
  await untilUndisturbed(fleet, async () => {
    const { state } = fleet.loop;
    if (!state.secrets.has(name))
      throw new Refusal('not-found', 'no-secret', `fleet "${fleetName}" has no secret called "${name}"`);
    const users = usersOf(state, name);
    if (users.length > 0) {
      const more = users.length > 5 ? ` and ${users.length - 5} more` : '';
      throw new Refusal(
        'conflict',
        'secret-in-use',
        `secret "${name}" is used by ${users.slice(0, 5).join(', ')}${more}: take it out of their declaration first`,
      );
    }
    const [written] = await append(world, fleet, [{ type: 'secret.deleted', data: { secret: name }, by }], state.seq);
    await taken(fleet, written?.seq ?? 0);
    await fleet.tidySecrets();
  });
}

/** Does it on the state at the head of the log, again if somebody else wrote meanwhile. */
async function untilUndisturbed<T>(fleet: Fleet, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    await upToDate(fleet, 0);
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'conflict') throw error;
      if (attempt >= STORE_TRIES) {
        throw new Refusal(
          'unavailable',
          'busy',
          `fleet "${fleet.name}" changed each of the ${STORE_TRIES} times this was tried; nothing was done, try again`,
        );
      }
      await fleet.loop
        .peek(() => undefined)
        .catch((failed: unknown) => {
          throw new Refusal('unavailable', 'log-not-readable', `nothing was done: ${wordsOf(failed)}`);
        });
    }
  }
}

/** Seals the value under a number that nobody has used. */
async function sealed(world: World, fleet: Fleet, name: string, value: string): Promise<number> {
  const { vault } = world;
  try {
    for (let attempt = 1; attempt <= STORE_TRIES; attempt += 1) {
      const version = Math.max(nextVersion(fleet.loop.state, name), vault.newest(fleet.name, name) + 1);
      if (await vault.put(fleet.name, name, version, value)) return version;
      // Another replica was quicker, or is no more: what it stored is seen by reading again.
      await vault.load(fleet.name);
    }
  } catch (error) {
    if (error instanceof SecretError)
      throw new Refusal('unavailable', 'secret-key', `nothing was stored: ${error.message}`);
    throw new Refusal('unavailable', 'secret-not-stored', `nothing was stored: ${wordsOf(error)}`);
  }
  throw new StoreError('conflict', 'others store the same secret');
}

function checkName(name: string): void {
  if (!isSecretName(name)) throw new Refusal('invalid', 'secret-name', SECRET_NAME_WORDS);
}

function checkValue(value: string): void {
  const bytes = Buffer.byteLength(value);
  const wrong =
    value === ''
      ? 'is empty: delete the secret if it is not needed'
      : value.includes('\0')
        ? 'has a NUL character, which no environment can hold'
        : bytes > SECRET_BYTES
          ? `has ${bytes} bytes; at most ${SECRET_BYTES} are kept`
          : null;
  if (wrong !== null) throw new Refusal('invalid', 'secret-value', `the value ${wrong}`);
}

function checkPlace(state: FleetState, name: string, value: string): void {
  if (!hasRoomFor(state, name)) {
    throw new Refusal(
      'conflict',
      'too-many-secrets',
      `fleet "${state.fleet}" has ${MAX_SECRETS} secrets, the most there can be; delete one first`,
    );
  }
  if (value.length < REDACTED_CHARS) return;
  const names = [state.fleet, ...state.names.keys(), ...state.targets.keys()];
  const inside = names.find((one) => one.includes(value));
  if (inside === undefined) return;
  // Taken out of every text, it would take the name with it.
  throw new Refusal(
    'conflict',
    'secret-in-name',
    'the value is part of the name of something in this fleet: it is no secret',
  );
}

function noteOf(state: FleetState, value: string): string | null {
  if (value.length < REDACTED_CHARS)
    return `it has fewer than ${REDACTED_CHARS} characters: values that short are not taken out of logs and answers`;
  if (!JSON.stringify(state.manifest).includes(JSON.stringify(value).slice(1, -1))) return null;
  return 'the value stands in plain in the manifest, and so in the log: refer to the secret there, then store a new value';
}
