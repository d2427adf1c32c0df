/** What a swift route is handed, whichever way its request came. */
import type { IncomingMessage } from 'node:http';
import type { Shared } from './dispatch.ts';
import type { SwiftAsk } from './route.ts';

export const swiftAsk = (shared: Shared, incoming: IncomingMessage): SwiftAsk => ({
  incoming,
  wrongToken: () => shared.failures.take(incoming.socket.remoteAddress ?? 'unknown'),
  count: (caller) => shared.tokens.take(caller),
});
