/**
 * What ends a command: a failure that says what was tried and what the reader can do, or a problem that the server
 * answered with. Everything else that is thrown is a bug.
 */
import type { FieldError } from '../runtime/api.ts';

export const EXIT_OK = 0;
export const EXIT_NEGATIVE = 1;
export const EXIT_ERROR = 2;
/** As shells say it: ended by SIGINT. */
export const EXIT_INTERRUPTED = 130;

/** RFC 9457. `status` is absent for what never reached a server. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status?: number;
  readonly detail?: string;
  readonly errors?: readonly FieldError[];
  /** What forbids it, for a conflict. */
  readonly rule?: string;
}

/** Ends the command with `EXIT_ERROR`; for programs it is a problem like any other. */
export class Failure extends Error {
  override readonly name: string = 'Failure';
  readonly problem: Problem;
  constructor(title: string, detail: string) {
    super(detail);
    this.problem = { type: 'about:blank', title, detail };
  }
}

/** A problem with a document or an answer of the server. */
export class ProblemFailure extends Error {
  override readonly name = 'ProblemFailure';
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
  }
}

/** Nothing answers, or what answers is no Holdfast. */
export class Unreachable extends Failure {
  override readonly name = 'Unreachable';
}

/** Ctrl-C: the reader of this knows why. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** Whoever read our output has gone (`| head`). */
export class PipeClosed extends Error {
  override readonly name = 'PipeClosed';
}

/** A failure as a person reads it: one line, or one for each error of a file. */
export function failureInWords(failure: Failure | ProblemFailure, file: string | null): string {
  const { title, detail, rule, errors = [] } = failure.problem;
  const heading = `${detail ?? title}${rule === undefined ? '' : ` (rule: ${rule})`}`;
  if (errors.length === 0) return heading;
  const lines = errors.map((error) => errorInWords(error, file));
  return file === null ? [heading, ...lines.map((line) => `  ${line}`)].join('\n') : lines.join('\n');
}

/** `fleet.yaml:12: instances.scribe.run.command: …`, as editors and compilers say it. */
function errorInWords(error: FieldError, file: string | null): string {
  const place = file === null ? '' : error.line === null ? `${file}: ` : `${file}:${error.line}: `;
  const line = file === null && error.line !== null ? ` (line ${error.line})` : '';
  return `${place}${error.path === '' ? '' : `${error.path}: `}${error.message}${line}`;
}
