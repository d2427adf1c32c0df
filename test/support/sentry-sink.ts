/** Stands in Sentry's place: takes real envelopes, and reads them as Sentry does. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export const KEY = '0123456789abcdef0123456789abcdef';

interface Envelope {
  readonly header: { readonly [key: string]: unknown };
  readonly items: readonly {
    readonly header: { readonly type: string };
    readonly body: { readonly [key: string]: unknown };
  }[];
}

/** A header, then pairs of item header and payload, one line each; the payload by its length where one is said. */
function readEnvelope(text: string): Envelope {
  let rest = text;
  const line = (lengthChars?: number): string => {
    const end = lengthChars ?? (rest.includes('\n') ? rest.indexOf('\n') : rest.length);
    const taken = rest.slice(0, end);
    rest = rest.slice(end + 1);
    return taken;
  };
  const header = JSON.parse(line()) as Envelope['header'];
  const items: Envelope['items'][number][] = [];
  while (rest.trim() !== '') {
    const item = JSON.parse(line()) as { type: string; length?: number };
    items.push({ header: item, body: JSON.parse(line(item.length)) as Envelope['items'][number]['body'] });
  }
  return { header, items };
}

type Answer = (response: ServerResponse) => void;
const well: Answer = (response) => void response.end('{}');

export async function sink(
  t: TestContext,
  answer: Answer = well,
): Promise<{ dsn: string; taken: { envelope: Envelope; text: string; url: string }[] }> {
  const taken: { envelope: Envelope; text: string; url: string }[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (more: string) => (text += more));
    request.on('end', () => {
      taken.push({ envelope: readEnvelope(text), text, url: request.url ?? '' });
      answer(response);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { dsn: `http://${KEY}@127.0.0.1:${port}/42`, taken };
}
