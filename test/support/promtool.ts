/**
 * The real Prometheus and its `promtool` (Debian's package `prometheus`), for tests of metrics, rules and alerts.
 */
import { spawnSync } from 'node:child_process';
import type { TestContext } from 'node:test';
import { realComponent } from './require.ts';

const DEADLINE_MS = 60_000;

export interface Said {
  readonly code: number | null;
  readonly text: string;
}

/** Runs `promtool ARGS` with `input`; null after the test was skipped, since there is none here. */
export async function promtool(t: TestContext, args: readonly string[], input = ''): Promise<Said | null> {
  return realComponent(t, 'promtool', () => {
    const { error, status, stdout, stderr } = spawnSync('promtool', args, {
      input,
      encoding: 'utf8',
      timeout: DEADLINE_MS,
    });
    if (error !== undefined) throw error;
    return { code: status, text: `${stdout}${stderr}` };
  });
}
