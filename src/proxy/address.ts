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
}

const NAME = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const ADDRESS = new RegExp(`^(/i/(${NAME})/(${NAME})(?::(\\d{1,5}))?)(/[^?]*)?(\\?.*)?$`);

/** null: no address of ours. */
export function addressOf(url: string): Address | null {
  const found = ADDRESS.exec(url);
  if (found === null) return null;
  const [, prefix = '', fleet = '', instance = '', port, path = '/', query = ''] = found;
  return { fleet, instance, port: port === undefined ? null : Number(port), rest: `${path}${query}`, prefix };
}
