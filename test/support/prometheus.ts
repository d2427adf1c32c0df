/** A real Prometheus in the folder of an end-to-end test, on a port of its own, with short intervals and the rules as shipped. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until, type Plane, type World } from './e2e.ts';

const RULES = fileURLToPath(new URL('../../deploy/alerts/holdfast.rules.yaml', import.meta.url));
/** A loaded machine takes long for everything. */
const PATIENCE_MS = 60_000;

export interface Prometheus {
  /** An instant query; fails the test where Prometheus does not accept it. */
  ask(
    expr: string,
  ): Promise<readonly { readonly metric: { readonly [label: string]: string }; readonly value: number }[]>;
  /** Names of the alerts that fire now. */
  firing(): Promise<readonly string[]>;
}

/** Throws where there is none. */
export function findPrometheus(): void {
  const { error } = spawnSync('prometheus', ['--version']);
  if (error !== undefined) throw error;
}

export async function openPrometheus(world: World, plane: Plane, token: string): Promise<Prometheus> {
  const folder = join(world.folder, 'prometheus');
  mkdirSync(folder);
  const config = {
    global: { scrape_interval: '500ms', scrape_timeout: '500ms', evaluation_interval: '500ms' },
    rule_files: [RULES],
    scrape_configs: [
      {
        job_name: 'holdfast',
        authorization: { credentials: token },
        static_configs: [{ targets: [`127.0.0.1:${plane.port}`] }],
      },
    ],
  };
  const file = join(folder, 'prometheus.json');
  writeFileSync(file, JSON.stringify(config)); // JSON is YAML
  const program = world.begin('prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    '--web.listen-address=127.0.0.1:0',
    '--log.format=json',
  ]);
  const address = await until(
    'Prometheus is up',
    () => {
      assert.equal(program.over(), false, program.said());
      if (!/Server is ready/.test(program.said())) return undefined;
      return /"address":"(127\.0\.0\.1:[1-9]\d*)"[^\n]*"Listening on"/.exec(program.said())?.[1];
    },
    PATIENCE_MS,
  );
  async function get(path: string): Promise<unknown> {
    const answer = await fetch(`http://${address}${path}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const said = (await answer.json()) as { readonly status: string; readonly data: unknown };
    assert.equal(said.status, 'success', JSON.stringify(said));
    return said.data;
  }
  return {
    async ask(expr) {
      const { result } = (await get(`/api/v1/query?query=${encodeURIComponent(expr)}`)) as {
        readonly result: readonly { metric: { [label: string]: string }; value: readonly [number, string] }[];
      };
      return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    },
    async firing() {
      const { alerts } = (await get('/api/v1/alerts')) as {
        readonly alerts: readonly { state: string; labels: { alertname: string } }[];
      };
      return alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname);
    },
  };
}
