/**
 * What a plugin costs that is here already: how many git processes and how many requests to its server, for many agents that all
 * declare it at the same sha. The first one is what a fetch costs.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { DEFAULT_PLUGINS } from '../src/core/server-file.ts';
import { openPluginSources } from '../src/plugins/sources.ts';
import { plain, startGitServer } from '../test/support/git-server.ts';
import { atMost, known, type Figure } from './figure.ts';

const AGENTS = 1_000;
const FETCH_MS = 60_000;

export async function* pluginFetches(folder: string): AsyncGenerator<Figure> {
  const server = await startGitServer();
  const path = process.env['PATH'] ?? '';
  try {
    const repo = server.repo('acme/notes');
    const sha = repo.commit({ ...plain('notes'), 'notes.txt': 'notes' });
    const processes = countGit(folder, path);
    const sources = openPluginSources({
      folder: join(folder, 'plugins'),
      settings: { ...DEFAULT_PLUGINS, gitea: server.url },
      policy: { sources: null, requirePinned: false, plainHttp: true },
      secret: () => Promise.reject(new Error('no secret is declared')),
    });
    const fetch = async (): Promise<void> => {
      const wanted = { source: 'gitea://acme/notes', ref: sha, integrity: null, track: false, header: null };
      (await sources.fetch({ ...wanted, fleet: 'bench' }, AbortSignal.timeout(FETCH_MS))).release();
    };
    await fetch();
    const [first, asked] = [processes(), server.asked.length];
    yield known('git processes of a plugin that is fetched', first, '');
    yield known('  requests to its server', asked, '');
    for (let n = 0; n < AGENTS; n += 1) await fetch();
    yield atMost(`git processes of ${AGENTS} more agents with it at that sha`, processes() - first, '', 0);
    yield atMost('  requests to its server', server.asked.length - asked, '', 0);
  } finally {
    process.env['PATH'] = path;
    await server.close();
  }
}

/** Puts a git first in the path that writes down each run of the real one. The server is not counted: it has a path of its own. */
function countGit(folder: string, path: string): () => number {
  const real = spawnSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).stdout.trim();
  const [place, runs] = [join(folder, 'bin'), join(folder, 'git-runs')];
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'git'), `#!/bin/sh\necho run >> '${runs}'\nexec '${real}' "$@"\n`);
  chmodSync(join(place, 'git'), 0o755);
  process.env['PATH'] = `${place}${delimiter}${path}`;
  return () => (existsSync(runs) ? readFileSync(runs, 'utf8').split('\n').length - 1 : 0);
}
