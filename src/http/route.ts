/**
 * A route as data: what it takes, whom it demands, what it answers. The router, the OpenAPI document, the checks of input
 * and the authorisation all read this one description, so none of them can forget what another knows.
 */
import type { IncomingMessage } from 'node:http';
import type { z } from '@hono/zod-openapi';
import type { By } from '../core/events.ts';
import type { TokenView } from '../runtime/api.ts';
import type { Scope } from './auth.ts';
import type { Problem } from './problem.ts';

export type Method = 'get' | 'put' | 'post' | 'delete';

type Shape = z.ZodObject;

/** Where a route takes nothing; `input.ts` refuses every key then. */
export type Nothing = z.ZodObject<Record<string, z.ZodNever>>;

export interface Route {
  readonly method: Method;
  /** In OpenAPI's writing: /v1/fleets/{fleet} */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** `open`: no token needed. `agent`: the token of one agent, which only a `swift` route reads. */
  readonly scope: Scope | 'open' | 'agent';
  /** Its answer spans fleets, so that a token for some of them is refused. */
  readonly allFleets?: boolean;
  /** Asked so often by machines that it is not counted. */
  readonly uncounted?: boolean;
  /** Answers with a stream: no HEAD, and a place among the long requests. */
  readonly streams?: boolean;
  readonly params?: Shape;
  readonly query?: Shape;
  /** Query keys that may be repeated; their raw value is always a list. */
  readonly repeated?: readonly string[];
  /** Headers that the handler reads; for the document only. */
  readonly headers?: Shape;
  readonly body?: BodyShape;
  /** What it answers when all is well, by status; problems are the same everywhere. */
  readonly answers: { readonly [status: number]: AnswerShape };
  /** How much longer than usual it may take, ms; null: it does not last. */
  readonly lasts: (query: unknown) => number | null;
  readonly handle: (ask: RawAsk) => Promise<Answer>;
  /**
   * In place of `handle`, for what every agent asks all the time: it proves who asks and reads what they say by itself, past
   * the store of tokens, the deadlines and the schemas' words, and where it can past the router (`swift.ts`).
   */
  readonly swift?: (ask: SwiftAsk) => Promise<JsonAnswer>;
}

export interface SwiftAsk {
  readonly incoming: IncomingMessage;
  /** To be told of a token that is none; throws 429 once there were too many from there. */
  readonly wrongToken: () => void;
  /** Counts one request of this caller; throws 429 if there are too many. */
  readonly count: (caller: string) => void;
}

export type BodyShape =
  | { readonly kind: 'json'; readonly schema: z.ZodType; readonly optional: boolean }
  /** A document handed on as text. */
  | {
      readonly kind: 'text';
      readonly limitBytes: number;
      readonly types: readonly string[];
      readonly description: string;
    };

export interface AnswerShape {
  readonly description: string;
  /** Absent: no body. */
  readonly type?: string;
  readonly schema?: z.ZodType;
  readonly headers?: { readonly [name: string]: string };
}

interface AskBase {
  /** Who asks; routes without a token have nobody. */
  readonly token: TokenView | null;
  readonly by: (reason?: string) => By;
  readonly header: (name: string) => string | undefined;
  /** Aborts when the client is gone, the server closes, or the stream ends. Commands must not look at it (L35). */
  readonly signal: AbortSignal;
}

export interface RawAsk extends AskBase {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}

export interface Ask<P extends Shape, Q extends Shape, B> extends AskBase {
  readonly params: z.infer<P>;
  readonly query: z.infer<Q>;
  readonly body: B;
}

export interface JsonAnswer {
  readonly kind: 'json';
  readonly status: 200 | 201 | 202;
  readonly body: unknown;
  readonly headers?: { readonly [name: string]: string };
}

export type Answer =
  | JsonAnswer
  | { readonly kind: 'text'; readonly type: string; readonly text: string }
  | { readonly kind: 'empty' }
  | { readonly kind: 'stream'; readonly type: string; readonly source: StreamSource };

export interface StreamSource {
  /** Ends soon after the signal of the ask aborts. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Sent at once, before anything happens. */
  readonly opening: Uint8Array | null;
  /** Sent while nothing else is, so that both ends notice a dead line; null: the format has no room for it. */
  readonly beat: Uint8Array | null;
  /** How the format says that it broke off; null: it cannot, and the connection is cut instead, so that no reader takes a part for the whole. */
  readonly lastWords: ((problem: Problem) => Uint8Array) | null;
}

/** A route that does all by itself. `body` is what it reads, for the document only. */
export function swiftRoute(
  spec: Facts & { readonly body: z.ZodType; readonly answer: (ask: SwiftAsk) => Promise<JsonAnswer> },
): Route {
  const { answer, body, ...facts } = spec;
  return {
    ...facts,
    body: { kind: 'json', schema: body, optional: true },
    lasts: () => null,
    handle: () => Promise.reject(new Error(`${spec.path} answers swiftly, or not at all`)),
    swift: answer,
  };
}

export function json(
  status: 200 | 201 | 202,
  body: unknown,
  headers: { readonly [name: string]: string } = {},
): JsonAnswer {
  return { kind: 'json', status, body, headers };
}

type Facts = Omit<Route, 'params' | 'query' | 'body' | 'lasts' | 'handle'>;

interface Spec<P extends Shape, Q extends Shape> extends Facts {
  readonly params?: P;
  readonly query?: Q;
  readonly lasts?: (query: z.infer<Q>) => number | null;
}

/** A route without a body. The casts are safe: `input.ts` hands over only what the schemas made. */
export function route<P extends Shape = Nothing, Q extends Shape = Nothing>(
  spec: Spec<P, Q> & { readonly handle: (ask: Ask<P, Q, undefined>) => Promise<Answer> },
): Route {
  return { ...spec, lasts: lastsOf(spec), handle: (ask) => spec.handle(ask as Ask<P, Q, undefined>) };
}

/** A route with a JSON body; an `optional` one may be left out and is then read as `{}`. */
export function jsonRoute<B extends z.ZodType, P extends Shape = Nothing, Q extends Shape = Nothing>(
  spec: Spec<P, Q> & {
    readonly body: { readonly schema: B; readonly optional?: boolean };
    readonly handle: (ask: Ask<P, Q, z.infer<B>>) => Promise<Answer>;
  },
): Route {
  const body: BodyShape = { kind: 'json', schema: spec.body.schema, optional: spec.body.optional ?? false };
  return { ...spec, body, lasts: lastsOf(spec), handle: (ask) => spec.handle(ask as Ask<P, Q, z.infer<B>>) };
}

/** A route whose body is a document that somebody else reads. */
export function textRoute<P extends Shape = Nothing, Q extends Shape = Nothing>(
  spec: Spec<P, Q> & {
    readonly body: Omit<Extract<BodyShape, { kind: 'text' }>, 'kind'>;
    readonly handle: (ask: Ask<P, Q, string>) => Promise<Answer>;
  },
): Route {
  return {
    ...spec,
    body: { kind: 'text', ...spec.body },
    lasts: lastsOf(spec),
    handle: (ask) => spec.handle(ask as Ask<P, Q, string>),
  };
}

function lastsOf<P extends Shape, Q extends Shape>(spec: Spec<P, Q>): (query: unknown) => number | null {
  const lasts = spec.lasts;
  return lasts === undefined ? () => (spec.streams === true ? 0 : null) : (query) => lasts(query as z.infer<Q>);
}
