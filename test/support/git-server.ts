/**
 * A real git server for tests: `git http-backend` behind Node's HTTP server, with repositories laid out as gitea lays them out
 * (`/owner/name.git`), and the repositories themselves, made by real git. A repository may want a header, be slow to answer,
 * redirect, or be gone.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface GitServer {
  /** What `plugins.gitea` is set to. */
  readonly url: string;
  /** Requests so far, as "GET /owner/name.git/info/refs". */
  readonly asked: string[];
  /** Repositories that want `Authorization: token …`, and those that never answer, by "owner/name". */
  readonly wants: Map<string, string>;
  readonly hangs: Set<string>;
  readonly redirects: Map<string, string>;
  /** The bare repository, made if need be. */
  repo(name: string): TestRepo;
  close(): Promise<void>;
}

export interface TestRepo {
  readonly path: string;
  /** Runs git in it; what it wrote. */
  git(args: readonly string[], input?: string | Buffer): string;
  /** A commit of exactly these files on a branch; its sha. A file may be `{ link }`, `{ program }` or `{ submodule }`. */
  commit(files: { readonly [path: string]: TestFile }, branch?: string): string;
  tag(name: string, sha: string, annotated?: boolean): void;
  /** A commit of a tree as `git mktree` would never make it. */
  raw(entries: readonly RawEntry[], branch?: string): string;
}

export type TestFile = string | { readonly link: string } | { readonly program: string } | { readonly submodule: true };

export interface RawEntry {
  readonly mode: string;
  readonly name: string | Buffer;
  /** Contents of a blob, or the entries of a tree below. */
  readonly is: string | readonly RawEntry[];
}

const ENV = {
  PATH: process.env['PATH'] ?? '',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'test',
  GIT_AUTHOR_EMAIL: 'test@example.com',
  GIT_COMMITTER_NAME: 'test',
  GIT_COMMITTER_EMAIL: 'test@example.com',
};

/** The least that a plugin is. */
export const plain = (name: string, more: { readonly [key: string]: unknown } = {}): { 'plugin.json': string } => ({
  'plugin.json': JSON.stringify({ name, version: '1.0.0', ...more }),
});

export async function startGitServer(): Promise<GitServer> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-git-')));
  const asked: string[] = [];
  const wants = new Map<string, string>();
  const hangs = new Set<string>();
  const redirects = new Map<string, string>();
  const server = createServer((request, response) => {
    const [path = '', query = ''] = (request.url ?? '').split('?');
    asked.push(`${request.method ?? ''} ${path}`);
    const name = /^\/([^/]+\/[^/]+)\.git\//.exec(path)?.[1] ?? '';
    if (hangs.has(name)) return;
    const to = redirects.get(name);
    if (to !== undefined) {
      response.writeHead(302, { location: `${to}${path}?${query}` }).end();
      return;
    }
    const want = wants.get(name);
    if (want !== undefined && request.headers.authorization !== want) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
      return;
    }
    serve(root, path, query, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    wants,
    hangs,
    redirects,
    repo: (name) => openRepo(join(root, `${name}.git`)),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** One request through CGI. */
function serve(root: string, path: string, query: string, request: IncomingMessage, response: ServerResponse): void {
  const child = spawn('git', ['http-backend'], {
    env: {
      ...ENV,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: path,
      QUERY_STRING: query,
      REQUEST_METHOD: request.method ?? '',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  request.pipe(child.stdin).on('error', () => undefined);
  response.on('close', () => child.kill('SIGKILL'));
  let head = Buffer.alloc(0);
  child.stdout.on('data', function first(chunk: Buffer) {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    child.stdout.off('data', first);
    let status = 200;
    const headers: [string, string][] = [];
    for (const line of head.subarray(0, end).toString('latin1').split('\r\n')) {
      const at = line.indexOf(':');
      const [key, value] = [line.slice(0, at), line.slice(at + 1).trim()];
      if (key.toLowerCase() === 'status') status = Number.parseInt(value, 10);
      else headers.push([key, value]);
    }
    response.writeHead(status, headers.flat());
    response.write(head.subarray(end + 4));
    child.stdout.pipe(response);
  });
}

/** A bare repository at that path, made if need be. */
export function openRepo(path: string): TestRepo {
  mkdirSync(dirname(path), { recursive: true });
  const run = (args: readonly string[], input?: string | Buffer, env: { [name: string]: string } = {}): string => {
    const { status, stdout, stderr, error } = spawnSync('git', args, {
      cwd: path,
      env: { ...ENV, ...env },
      ...(input !== undefined && { input }),
      maxBuffer: 256 * 1024 * 1024,
    });
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${error?.message ?? stderr.toString()}`);
    return stdout.toString().trim();
  };
  if (!existsSync(join(path, 'HEAD'))) {
    mkdirSync(path, { recursive: true });
    run(['init', '--quiet', '--bare', '--template=', '--initial-branch=main', '.']);
  }
  const blob = (text: string): string => run(['hash-object', '-w', '--stdin'], text);
  const commitTree = (tree: string, branch: string): string => {
    const sha = run(['commit-tree', tree, '-m', 'a commit']);
    run(['update-ref', `refs/heads/${branch}`, sha]);
    return sha;
  };
  const rawTree = (entries: readonly RawEntry[]): string => {
    const parts = entries.map(({ mode, name, is }) => {
      const sha = typeof is === 'string' ? blob(is) : rawTree(is);
      return Buffer.concat([Buffer.from(`${mode} `), Buffer.from(name), Buffer.from([0]), Buffer.from(sha, 'hex')]);
    });
    return run(['hash-object', '-w', '-t', 'tree', '--literally', '--stdin'], Buffer.concat(parts));
  };
  return {
    path,
    git: run,
    commit(files, branch = 'main') {
      const index = { GIT_INDEX_FILE: join(path, 'test-index') };
      rmSync(index.GIT_INDEX_FILE, { force: true });
      const lines = Object.entries(files).map(([file, is]) => {
        if (typeof is === 'string') return `100644 ${blob(is)}\t${file}`;
        if ('link' in is) return `120000 ${blob(is.link)}\t${file}`;
        if ('program' in is) return `100755 ${blob(is.program)}\t${file}`;
        return `160000 ${'1'.repeat(40)}\t${file}`;
      });
      run(['update-index', '--add', '--index-info'], `${lines.join('\n')}\n`, index);
      return commitTree(run(['write-tree'], undefined, index), branch);
    },
    tag(name, sha, annotated = false) {
      run(annotated ? ['tag', '-f', '-a', '-m', 'a tag', name, sha] : ['tag', '-f', name, sha]);
    },
    raw: (entries, branch = 'main') => commitTree(rawTree(entries), branch),
  };
}

/** Files in a folder of the host. */
export function writeFiles(folder: string, files: { readonly [path: string]: string }): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}
