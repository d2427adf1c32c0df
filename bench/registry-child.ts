/**
 * The server of `bench/registry`: the real runtime, store and HTTP face on a data folder, with a route beside its own that
 * answers POSTs and does nothing. Says where it listens, then a token for each agent, one per line.
 */
import { createApp, listen } from '../src/http/server.ts';
import { compose } from '../src/runtime/compose.ts';
import { openDataFolder } from '../src/runtime/data-folder.ts';
import { silentLog } from '../src/runtime/log.ts';

const [folder = '', agents = '0'] = process.argv.slice(2);
const composed = await compose(openDataFolder(folder, '.'), { storeUrl: null, log: { ...silentLog, level: 'silent' } });
const app = createApp(composed.control, { log: silentLog });
app.hono.post('/empty', () => new Response('{}\n', { headers: { 'Content-Type': 'application/json' } }));
const server = await listen(app, { host: '127.0.0.1', port: 0 });
await composed.start();

const names = Array.from({ length: Number(agents) }, (_, n) => `agent-${n}`);
const spec = { target: 'external', heartbeat: { every: '1s', silentAfter: '10m' } };
const text = JSON.stringify({
  version: 1,
  fleet: 'bench',
  instances: Object.fromEntries(names.map((name) => [name, spec])),
});
const by = { token: 'bench', via: 'bench' };
await composed.control.apply('bench', { text, dryRun: false, prune: null, ifMatch: null, replace: false, by });
const instances = composed.runtime.fleet('bench')?.loop.state.instances.values() ?? [];
const lines = [...instances].map((inst) => composed.registry.env('bench', inst)['HOLDFAST_INSTANCE_TOKEN'] ?? '');
process.stdout.write(`${server.url}\n${lines.join('\n')}\nend\n`);
process.on('SIGTERM', () => {
  void server
    .close(0)
    .then(() => composed.stop({ agents: false }))
    .then(() => process.exit(0));
});
