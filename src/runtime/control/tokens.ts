/** API tokens: 32 random bytes, shown once, kept only as a hash, compared in constant time. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { TokenRow } from '../../ports/store.ts';
import { iso } from '../../core/time.ts';
import { Refusal, type TokenView } from '../api.ts';
import type { World } from '../world.ts';

const hashToken = (token: string): string => createHash('sha256').update(token).digest('hex');

const view = ({ name, scope, fleets, createdAt, expiresAt }: TokenRow): TokenView => ({
  name,
  scope,
  fleets,
  createdAt: iso(createdAt),
  expiresAt: expiresAt === null ? null : iso(expiresAt),
});

export async function tokens(world: World): Promise<readonly TokenView[]> {
  return (await world.store.tokens()).map(view);
}

export async function createToken(
  world: World,
  ask: { name: string; scope: TokenView['scope']; fleets: readonly string[] | null; expiresInMs: number | null },
): Promise<TokenView & { token: string }> {
  const token = `hf_${world.newSecret()}`;
  const now = world.clock.wall();
  const row: TokenRow = {
    name: ask.name,
    hash: hashToken(token),
    scope: ask.scope,
    fleets: ask.fleets,
    createdAt: now,
    expiresAt: ask.expiresInMs === null ? null : now + ask.expiresInMs,
  };
  if (!(await world.store.putToken(row)))
    throw new Refusal(
      'conflict',
      'token-name',
      `there is a token called "${ask.name}" already; delete it first, or choose another name`,
    );
  return { ...view(row), token };
}

export async function dropToken(world: World, name: string): Promise<void> {
  if (!(await world.store.dropToken(name))) throw new Refusal('not-found', 'no-token', `no token is called "${name}"`);
}

/** A store that fails refuses everybody (L71). */
export async function identify(world: World, token: string): Promise<TokenView | null> {
  const asked = Buffer.from(hashToken(token), 'hex');
  let found: TokenRow | null = null;
  for (const row of await world.store.tokens()) {
    const known = Buffer.from(row.hash, 'hex');
    if (known.length === asked.length && timingSafeEqual(known, asked)) found = row;
  }
  if (found === null || (found.expiresAt !== null && found.expiresAt <= world.clock.wall())) return null;
  return view(found);
}
