/**
 * The `yaml` package on a leash. Its `parseDocument` keeps every error it finds and follows every nesting, so that 4 MiB
 * of "[" take half a minute and 4 MiB of "]" the whole heap (both measured); here lexer, parser and composer are driven
 * step by step, and stop at a bounded number of faults and a bounded depth.
 */
import { Composer, Lexer, LineCounter, Parser } from 'yaml';
import type { CST, Document } from 'yaml';
import { MANIFEST_DEPTH, MANIFEST_ERRORS } from '../limits.ts';

export interface Composed {
  readonly document: Document.Parsed | null;
  readonly faults: readonly Fault[];
  readonly lineOf: (offset: number) => number;
}

export interface Fault {
  readonly offset: number;
  readonly message: string;
}

export const TOO_DEEP = `nested deeper than ${MANIFEST_DEPTH} levels`;

export function composeYaml(text: string): Composed {
  const lines = new LineCounter();
  const faults: Fault[] = [];
  const fault = (offset: number, message: string): void => {
    if (faults.length < MANIFEST_ERRORS) faults.push({ offset, message });
  };
  // Duplicate keys are found by whoever walks the document: the package compares every key with every other one,
  // minutes for 50,000 instances.
  const composer = new Composer({ version: '1.2', uniqueKeys: false });
  // The composer's only outlet for errors is this property, which it reads anew for each document.
  Object.assign(composer, {
    onError: (source: FaultSource, code: string, message: string) =>
      fault(offsetOf(source), FAULT_WORDS[code] ?? message),
  });
  let document: Document.Parsed | null = null;
  for (const composed of composer.compose(boundedTokens(text, lines, faults, fault), true, text.length))
    document ??= composed;
  // Whatever came by another way than the outlet above.
  for (const error of [...(document?.errors ?? []), ...(document?.warnings ?? [])]) fault(error.pos[0], error.message);
  const version = document?.directives.yaml;
  if (version?.explicit === true && version.version !== '1.2') {
    fault(0, `YAML ${version.version} is not read here: remove the %YAML line, or say 1.2`);
  }
  return { document, faults, lineOf: (offset) => lines.linePos(offset).line || 1 };
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

type FaultSource = number | readonly number[] | { readonly offset: number };

const FAULT_WORDS: { readonly [code: string]: string } = {
  RESOURCE_EXHAUSTION: TOO_DEEP,
  TAG_RESOLVE_FAILED: 'tags ("!…") are not read here',
};

/** Levels of the parser's stack that are not nesting: the document, a scalar, the map that a key begins. */
const STACK_EXTRA = 4;

function* boundedTokens(
  text: string,
  lines: LineCounter,
  faults: readonly Fault[],
  fault: (offset: number, message: string) => void,
): Generator<CST.Token, void> {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  let documents = 0;
  const wanted = (token: CST.Token): boolean => {
    if (token.type === 'document') documents++;
    if (documents > 1) fault(token.offset, 'a second document begins here: one text holds one document');
    else if (token.type === 'error') fault(token.offset, 'this does not belong here');
    else return true;
    return false;
  };
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) if (wanted(token)) yield token;
    if (parser.stack.length > MANIFEST_DEPTH + STACK_EXTRA) {
      fault(parser.offset, TOO_DEEP);
      return;
    }
    if (documents > 1 || faults.length >= MANIFEST_ERRORS) return;
  }
  for (const token of parser.end()) if (wanted(token)) yield token;
}

function offsetOf(source: FaultSource): number {
  if (typeof source === 'number') return source;
  return 'offset' in source ? source.offset : (source[0] ?? 0);
}
