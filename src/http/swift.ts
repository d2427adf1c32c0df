/**
 * The way past the router, for what every agent asks all the time: the same doors, problems and headers as for everybody
 * else, straight on node's request. Through the router a heartbeat costs 1.3 × an empty POST route; this way, half of one.
 *
 * Only a request that is exactly that route's is taken; whatever is odd about one goes the long way, to the same handler.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Shared, tell } from './dispatch.ts';
import { type createGuard, SECURITY_HEADERS } from './guard.ts';
import { Problem, PROBLEM_TYPE, problemDocument } from './problem.ts';
import type { JsonAnswer, Route } from './route.ts';
import { swiftAsk } from './swift-ask.ts';

type SwiftHandler = NonNullable<Route['swift']>;
type Guard = ReturnType<typeof createGuard>;

/** Answers `false` where it leaves the request to the router. */
export function createSwift(
  shared: Shared,
  guard: Guard,
  routes: readonly Route[],
): (incoming: IncomingMessage, outgoing: ServerResponse) => boolean {
  const handlers = new Map<string, SwiftHandler>();
  for (const { swift, method, path } of routes)
    if (swift !== undefined) handlers.set(`${method.toUpperCase()} ${path}`, swift);
  return (incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming;
    const handler = handlers.get(`${method} ${url}`);
    if (handler === undefined || headers.host === undefined || !/^[\w.:[\]-]+$/.test(headers.host)) return false;
    void answer(shared, guard, handler, incoming, outgoing);
    return true;
  };
}

/** Never rejects. */
async function answer(
  shared: Shared,
  guard: Guard,
  handler: SwiftHandler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const requestId = randomUUID();
  const { method, url } = incoming;
  let said: JsonAnswer | Problem;
  try {
    guard(incoming, `http://${incoming.headers.host}${url}`);
    said = await handler(swiftAsk(shared, incoming));
  } catch (error) {
    said = tell(shared.log, requestId, error);
  }
  const { status } = said;
  const problem = said instanceof Problem ? said : null;
  const body = said instanceof Problem ? problemDocument(said) : said.body;
  const text = `${JSON.stringify(body)}\n`;
  if (!outgoing.destroyed) {
    outgoing.writeHead(status, {
      ...SECURITY_HEADERS,
      'Content-Type': problem === null ? 'application/json' : PROBLEM_TYPE,
      'Content-Length': Buffer.byteLength(text),
      'X-Request-Id': requestId,
      ...(said instanceof Problem ? said.extras.headers : said.headers),
      ...(shared.closing.aborted ? { Connection: 'close' } : null),
    });
    outgoing.end(text);
  }
  const line = { requestId, method, path: url, status };
  if (status >= 500) shared.log.warn(line, 'answered');
  else shared.log.debug(line, 'answered');
}
