/**
 * Everything that is not the asked-for answer, as RFC 9457 problems.
 *
 * Promises: an error of ours says what was tried and what the reader can do; an error that nobody foresaw says only the
 * id under which it was logged, never its words or its stack.
 */
import { FencedError, StoreError } from '../ports/store.ts';
import { type FieldError, Refusal } from '../runtime/api.ts';
import { RETRY_AFTER_S } from './limits.ts';

/** The kinds, each with its status and title; `type` is `urn:holdfast:problem:<kind>`. */
export const PROBLEMS = {
  'bad-request': [400, 'The request cannot be read'],
  'token-in-url': [400, 'A token does not belong in a URL'],
  unauthorized: [401, 'A valid token is needed'],
  forbidden: [403, 'The token does not allow this'],
  'foreign-origin': [403, 'Requests from other origins are refused'],
  'not-found': [404, 'There is no such thing'],
  'method-not-allowed': [405, 'The method is not offered here'],
  'request-timeout': [408, 'The request took too long to arrive'],
  conflict: [409, 'This cannot be done now'],
  gone: [410, 'This is no longer kept'],
  'stale-revision': [412, 'Somebody else was faster'],
  'too-large': [413, 'The body is too large'],
  'unsupported-media-type': [415, 'The body is of a kind that is not read here'],
  'foreign-host': [421, 'This host name is not served here'],
  invalid: [422, 'The request is not valid'],
  'too-many-requests': [429, 'Too many requests'],
  'headers-too-large': [431, 'The headers are too large'],
  internal: [500, 'Something went wrong inside'],
  unavailable: [503, 'Not available now'],
} as const satisfies { readonly [kind: string]: readonly [status: number, title: string] };

export type ProblemKind = keyof typeof PROBLEMS;

export interface ProblemExtras {
  readonly errors?: readonly FieldError[];
  readonly headers?: { readonly [name: string]: string };
  /** Further members of the document: `rule`, `because`, … */
  readonly members?: { readonly [name: string]: unknown };
}

export class Problem extends Error {
  override readonly name = 'Problem';
  readonly kind: ProblemKind;
  readonly extras: ProblemExtras;
  constructor(kind: ProblemKind, detail: string, extras: ProblemExtras = {}) {
    super(detail);
    this.kind = kind;
    this.extras = extras;
  }
  get status(): number {
    return PROBLEMS[this.kind][0];
  }
}

export const PROBLEM_TYPE = 'application/problem+json';

export function problemDocument(problem: Problem): { readonly [member: string]: unknown } {
  const [status, title] = PROBLEMS[problem.kind];
  return {
    type: `urn:holdfast:problem:${problem.kind}`,
    title,
    status,
    detail: problem.message,
    errors: problem.extras.errors ?? [],
    ...problem.extras.members,
  };
}

export function problemResponse(problem: Problem): Response {
  return new Response(`${JSON.stringify(problemDocument(problem))}\n`, {
    status: problem.status,
    headers: { 'Content-Type': PROBLEM_TYPE, ...problem.extras.headers },
  });
}

/** What an error means to the client; null: nobody foresaw it. */
export function problemOf(error: unknown): Problem | null {
  if (error instanceof Problem) return error;
  if (error instanceof Refusal) {
    const extras = { errors: error.errors, members: { rule: error.rule } };
    return error.kind === 'unavailable'
      ? unavailable(error.message, extras)
      : new Problem(error.kind, error.message, extras);
  }
  // L71: a store that cannot answer refuses; it never lets pass.
  if (error instanceof StoreError) return unavailable(error.message, { members: { rule: `store-${error.code}` } });
  if (error instanceof FencedError) return unavailable('Another owner has just taken this fleet over; ask again.');
  return null;
}

export function unavailable(detail: string, extras: ProblemExtras = {}): Problem {
  return new Problem('unavailable', detail, {
    ...extras,
    headers: { 'Retry-After': String(RETRY_AFTER_S), ...extras.headers },
  });
}

/** For errors that nobody foresaw: `id` is where the log says more. */
export function internalProblem(id: string): Problem {
  return new Problem(
    'internal',
    `This is a bug or a broken machine. The log of the server has it under the id ${id}.`,
    { members: { id } },
  );
}
