/**
 * Published ports as people write them: 8080 · "8080/udp" · "9000:8080" · "0.0.0.0:9000:8080" · { container, host, address }.
 * On the host they are at 127.0.0.1 and any free port, unless asked otherwise.
 */
import { isIP } from 'node:net';
import * as z from 'zod';
import type { PublishedPort } from './run.ts';

const PORT_WORDS =
  'expected a port: 8080, "9000:8080", "127.0.0.1:9000:8080", or { container: 8080, host: 9000, address: 127.0.0.1 }';
const NUMBER_WORDS = 'expected a port number, 1 to 65535';
const number = z.int(NUMBER_WORDS).min(1, NUMBER_WORDS).max(65_535, NUMBER_WORDS);
const address = z.string().refine((text) => isIP(text) !== 0, 'expected an IP address, like 127.0.0.1 or 0.0.0.0');

export const portSchema = z.union(
  [
    number,
    z.string().refine((text) => parsePort(text) !== null, PORT_WORDS),
    z.strictObject({
      container: number,
      host: number.optional(),
      address: address.optional(),
      protocol: z.enum(['tcp', 'udp']).optional(),
    }),
  ],
  { error: PORT_WORDS },
);

type PortDocument = z.infer<typeof portSchema>;

const LOOPBACK = '127.0.0.1';

/** Frozen; what is said twice is told. */
export function portsOf(
  documents: readonly PortDocument[],
  fail: (path: string, message: string) => void,
): readonly PublishedPort[] {
  const seen = new Set<string>();
  return documents.flatMap((document, at) => {
    const port = portOf(document);
    const key = portKey(port);
    if (seen.has(key)) fail(`ports[${at}]`, `${key} is declared twice`);
    seen.add(key);
    return [port];
  });
}

/** As the engine writes it. */
export const portKey = ({ container, protocol }: Pick<PublishedPort, 'container' | 'protocol'>): string =>
  `${container}/${protocol}`;

function portOf(document: PortDocument): PublishedPort {
  if (typeof document === 'number') return { container: document, protocol: 'tcp', host: null, address: LOOPBACK };
  if (typeof document === 'string') return parsePort(document)!; // The schema has refused what cannot be parsed.
  return {
    container: document.container,
    protocol: document.protocol ?? 'tcp',
    host: document.host ?? null,
    address: document.address ?? LOOPBACK,
  };
}

function parsePort(text: string): PublishedPort | null {
  const found = /^(?:(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(\d{0,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/.exec(text);
  if (found === null) return null;
  const [, at = LOOPBACK, host = '', container, protocol = 'tcp'] = found;
  const bare = at.replace(/^\[|\]$/g, '');
  const numbers = [Number(container), ...(host === '' ? [] : [Number(host)])];
  if (isIP(bare) === 0 || numbers.some((one) => one < 1 || one > 65_535)) return null;
  return {
    container: Number(container),
    protocol: protocol === 'udp' ? 'udp' : 'tcp',
    host: host === '' ? null : Number(host),
    address: bare,
  };
}
