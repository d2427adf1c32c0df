/**
 * Which output belongs to which life, by the engine's stamps alone.
 *
 * The engine stamps a start only once the process runs, and an end with the time at which it ended: of an agent that ends at
 * once, the end may be stamped before the start.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerInspectInfo } from 'dockerode';
import { lastLife } from '../../src/targets/docker/logs.ts';
import { lifeBegan } from '../../src/targets/docker/looks.ts';

const NEVER = '0001-01-01T00:00:00Z';
const at = (ms: number): string => new Date(Date.UTC(2026, 0, 1) + ms).toISOString();
const seconds = (ms: number): number => (Date.UTC(2026, 0, 1) + ms) / 1_000;

function container(state: Partial<ContainerInspectInfo['State']>): ContainerInspectInfo {
  const ended = { Running: false, Restarting: false, StartedAt: NEVER, FinishedAt: NEVER };
  return { RestartCount: 0, State: { ...ended, ...state } } as ContainerInspectInfo;
}

test('the life of one whose end is stamped before its start holds what it wrote before both', () => {
  const { since, until } = lastLife(container({ StartedAt: at(10_030), FinishedAt: at(10_020) }));
  assert.ok(Number(since) < seconds(10_000), `${since} is after its first words`);
  assert.ok(until === null || Number(until) > seconds(10_030));
});

test('the life of one that runs begins where the life before it ended, exactly', () => {
  const running = container({ Running: true, StartedAt: at(10_030), FinishedAt: at(9_900) });
  assert.equal(Number(lifeBegan(running, 90)), seconds(9_900));
});

test('while the engine waits to restart it, the life that ended is the last one', () => {
  const waiting = container({ Running: true, Restarting: true, StartedAt: at(10_030), FinishedAt: at(10_020) });
  assert.equal(Number(lifeBegan(waiting, 90)), seconds(9_930));
});

test('the first life begins with the container', () => {
  assert.equal(lifeBegan(container({ Running: true, StartedAt: at(10_030) }), 90), null);
  assert.equal(lifeBegan(container({}), 90), null);
});
