/** Where a request wants to go: `/i/{fleet}/{instance}/rest`, or `/i/{fleet}/{instance}:{port}/rest`. */

export interface Address {
  readonly fleet: string;
  readonly instance: string;
  /** null: the first one published. */
  readonly port: number | null;
  /** Path and query as the agent sees them, from the root. */
  readonly rest: string;
  /** What was cut off in front. */
  readonly prefix: string;
  /** Of an absolute request target (`GET http://name/ HTTP/1.1`), which goes before the Host header (RFC 9112 §3.2.2). */
  readonly authority: string | null;
}

const NAME = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/i;
/** Printable, and no `#`: a fragment is never sent, and programs disagree about what it would mean. */
const ADDRESS = new RegExp(`^(/i/(${NAME})/(${NAME})(?::(\\d{1,5}))?)(/[!-"$->@-~]*)?(\\?[!-"$-~]*)?$`);

/** null: no address of ours. */
export function addressOf(url: string): Address | null {
  const absolute = ABSOLUTE.exec(url);
  const found = ADDRESS.exec(absolute === null ? url : (absolute[2] ?? ''));
  if (found === null) return null;
  const [, prefix = '', fleet = '', instance = '', port, path = '/', query = ''] = found;
  return {
    fleet,
    instance,
    port: port === undefined ? null : Number(port),
    rest: `${path}${query}`,
    prefix,
    authority: absolute === null ? null : (absolute[1] ?? ''),
  };
}
