/** The CLI against the real HTTP face: whatever it asks is a route there, in a form that the route takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createApp, listen } from '../../src/http/server.ts';
import { createFakeControl, TOKENS } from '../support/fake-control.ts';
import { cli } from './support/cli.ts';

const COMMANDS: readonly string[] = [
  'get',
  'get -l a=1,b=2 --phase running',
  'describe one',
  'why one',
  'why one --at 10m',
  'history one --since 1h',
  'events --after 0',
  'events --since 1h',
  'reconcile one --reason x',
  'restart one --wait --timeout 1s',
  'stop -l a=1 --dry-run',
  'wake --all --dry-run',
  'delete one --data keep --forget',
  'hold --reason upgrade --for 30m one',
  'release --reason done',
  'override --target process --identity abc',
  'override --rollout',
  'dry-run',
  'replay --from 1 --to 2 --instance one',
  'verify',
  'orphans',
  'volumes',
  'volumes rm holdfast-data',
  'stats one',
  'exec one --timeout 5s --reason look -- ls -l',
  'fleets',
  'manifest',
  'token create ci --scope operate --for alpha --expires-in 30d',
  'token list',
  'log-level',
  'log-level debug',
  'token delete ci',
  'agent-token one --reason moved',
  'secret list',
  'secret rm llm',
];

test('every request of the CLI is one that the HTTP face takes', async () => {
  const control = createFakeControl();
  const app = createApp(control);
  const server = await listen(app, { host: '127.0.0.1', port: 0 });
  try {
    const env = { HOLDFAST_URL: server.url, HOLDFAST_TOKEN: TOKENS.admin, HOLDFAST_FLEET: 'alpha' };
    // The next turn: being called comes before waiting.
    const settle = (): void => control.settle({ outcome: 'succeeded', phase: 'RUNNING', lastError: null, hold: null });
    void control.called('settled').then(() => setImmediate(settle));
    for (const command of COMMANDS) {
      const { code, err } = await cli(`${command} -o json`, { env });
      assert.notEqual(code, 2, `${command}: ${err}`);
    }
    const stdin = 'version: 1\nfleet: alpha\ninstances: {}\n';
    const applied = await cli('apply -f - --dry-run --prune 1 --replace -o json', { env, stdin });
    assert.notEqual(applied.code, 2, applied.err);
    const stored = await cli('secret set llm -o json', { env, stdin: 'sk-12345678\n' });
    assert.notEqual(stored.code, 2, stored.err);
    assert.deepEqual(control.calls.at(-1)?.args.slice(0, 3), ['alpha', 'llm', 'sk-12345678']);
  } finally {
    await server.close();
  }
});
