/** What is documented is what runs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EVERY_ROUTE } from './every-route.ts';
import { start } from './server-under-test.ts';

interface Operation {
  readonly operationId: string;
  readonly description: string;
  readonly security: readonly Record<string, readonly string[]>[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema: object;
  }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: object }> };
  readonly responses: Record<
    string,
    { readonly description: string; readonly content?: Record<string, { readonly schema: object }> }
  >;
}

interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: {
    readonly schemas: Record<string, object>;
    readonly securitySchemes: Record<string, { readonly type: string; readonly scheme: string }>;
  };
}

async function documentOf(t: Parameters<typeof start>[0]): Promise<{
  document: Document;
  operations: [string, string, Operation][];
  app: Awaited<ReturnType<typeof start>>['app'];
}> {
  const { ask, app } = await start(t);
  const document = (await ask('GET', '/openapi.json', { token: null })).json as unknown as Document;
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, string, Operation] => [method, path, operation]),
  );
  return { document, operations, app };
}

/** Every `$ref` and every `type` in the document. */
function walk(node: unknown, visit: (key: string, value: unknown) => void): void {
  if (typeof node !== 'object' || node === null) return;
  for (const [key, value] of Object.entries(node)) {
    visit(key, value);
    walk(value, visit);
  }
}

describe('the OpenAPI document', () => {
  test('has every route that is served, and nothing else is served', async (t) => {
    const { operations, app } = await documentOf(t);
    const documented = operations.map(([method, path]) => `${method.toUpperCase()} ${path}`).sort();
    const routed = app.hono.routes
      .filter(({ method }) => method !== 'ALL') // the doors, and 405
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
      .sort();
    assert.deepEqual(documented, routed);
  });

  test('is OpenAPI 3.1: its version, its references, its path parameters, its ids', async (t) => {
    const { document, operations } = await documentOf(t);
    assert.match(document.openapi, /^3\.1\.\d+$/);
    assert.ok(document.info.title !== '' && document.info.version !== '');
    walk(document, (key, value) => {
      if (key === '$ref') {
        const found = String(value).match(/^#\/components\/schemas\/(\w+)$/)?.[1];
        assert.ok(found !== undefined && found in document.components.schemas, `${String(value)} leads nowhere`);
      }
      assert.notEqual(key, 'nullable', 'that was OpenAPI 3.0');
    });
    const ids = operations.map(([, , { operationId }]) => operationId);
    assert.equal(new Set(ids).size, ids.length);
    for (const [method, path, operation] of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1] ?? '');
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      assert.deepEqual(declared.map(({ name }) => name).sort(), inPath.sort(), `${method} ${path}`);
      assert.ok(declared.every(({ required }) => required === true));
      for (const [status, answer] of Object.entries(operation.responses)) {
        assert.match(status, /^([2-5]\d\d|default)$/);
        assert.ok(answer.description !== '');
      }
      assert.ok('default' in operation.responses && Object.keys(operation.responses).length > 1, `${method} ${path}`);
      if (method === 'get') assert.equal(operation.requestBody, undefined);
    }
  });

  test('names the scope of every operation, as it is enforced', async (t) => {
    const { document, operations } = await documentOf(t);
    assert.deepEqual(document.components.securitySchemes['token'], { type: 'http', scheme: 'bearer' });
    for (const [method, path, { security }] of operations) {
      const scope = EVERY_ROUTE.find((route) => route.method.toLowerCase() === method && route.path === path)?.scope;
      assert.deepEqual(security, scope === 'open' ? [] : [{ token: [scope] }], `${method} ${path}`);
    }
  });

  test('says what the scope read sees, where it sees it', async (t) => {
    const { operations } = await documentOf(t);
    for (const end of ['/why', '/logs', '/debug/reconcile-dry-run', '/debug/replay-events']) {
      const [, , operation] = operations.find(([, path]) => path.endsWith(end)) ?? assert.fail(end);
      assert.match(operation.description, /scope read/);
    }
  });

  test('shows queries as clients write them: numbers with bounds, flags, repeated labels', async (t) => {
    const { document } = await documentOf(t);
    const list = document.paths['/v1/fleets/{fleet}/instances']?.['get']?.parameters ?? [];
    const schemaOf = (name: string): object =>
      list.find((parameter) => parameter.name === name)?.schema ?? assert.fail(name);
    assert.deepEqual(schemaOf('limit'), { type: 'integer', minimum: 1, maximum: 500, default: 100 });
    assert.equal((schemaOf('label') as { type: string }).type, 'array');
    const apply = document.paths['/v1/fleets/{fleet}']?.['put'];
    assert.deepEqual((apply?.parameters ?? []).map(({ name }) => name).sort(), [
      'If-Match',
      'dryRun',
      'fleet',
      'prune',
      'replace',
    ]);
    assert.deepEqual(Object.keys(apply?.requestBody?.content ?? {}), ['application/yaml', 'application/json']);
  });
});
