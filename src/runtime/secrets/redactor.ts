/**
 * Takes the values of stored secrets out of whatever is about to be written, logged or answered (invariant 13): each
 * becomes `[secret:NAME]`.
 *
 *  1. One search whatever the number of secrets; without any, everything passes untouched.
 *  2. Of events, only what came from outside as text is changed: a name or a reference is what it is, or nothing would be
 *     found again. Values that occur in names are refused where they would be declared.
 *  3. A stream shows no value that its parts cut; what may be the beginning of one waits for the next part.
 *  4. Values shorter than `REDACTED_CHARS` are not looked for.
 */
import type { NewEvent } from '../../core/events.ts';
import { EXIT_OUTPUT_BYTES, MESSAGE_CHARS } from '../../core/limits.ts';
import { encodingsOf } from './encodings.ts';
import { PIECE_CHARS, REDACTED_CHARS, WALK_DEPTH } from './limits.ts';
import { Matcher, type Pattern } from './matcher.ts';

export interface RedactedSecret {
  readonly name: string;
  readonly value: string;
}

/** Fields of events that hold words of agents, targets and people. */
const WORDS: ReadonlySet<string> = new Set(['message', 'output', 'reason', 'version', 'detail', 'text']);
/** Events that hold what is declared or decided; what is declared was looked through before it was accepted. */
const NO_WORDS: ReadonlySet<NewEvent['type']> = new Set([
  'manifest.applied',
  'policy.changed',
  'spec.applied',
  'secret.rotated',
  'tick.decided',
]);

export const shown = (name: string): string => `[secret:${name}]`;

export class Redactor {
  private readonly secrets: () => Iterable<RedactedSecret>;
  private matcher: Matcher | null = null;
  private values: readonly RedactedSecret[] = [];

  /** `secrets`: asked again after each `changed`. */
  constructor(secrets: () => Iterable<RedactedSecret>) {
    this.secrets = secrets;
  }

  changed(): void {
    this.matcher = null;
  }

  text(text: string): string {
    return text.length < REDACTED_CHARS ? text : this.current().replace(text, shown);
  }

  /** Every string in a value that is going to be JSON; errors as their words. The very value if there is nothing in it. */
  json<T>(value: T): T {
    return (this.isIdle() ? value : this.walked(value, (text) => this.text(text), 0)) as T;
  }

  event(event: NewEvent): NewEvent {
    if (this.isIdle()) return event;
    const by = this.words(event.by, 0);
    const data = NO_WORDS.has(event.type) ? event.data : this.words(event.data, 0);
    return by === event.by && data === event.data ? event : ({ ...event, by, data } as NewEvent);
  }

  /** Bytes as they were, but for what is taken out. */
  async *stream(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let held = '';
    for await (const chunk of chunks) {
      if (held === '' && this.isIdle()) {
        yield chunk;
        continue;
      }
      const scanned = this.current().scan(held + Buffer.from(chunk).toString('latin1'), shown, false);
      held = scanned.held;
      if (scanned.done !== '') yield Buffer.from(scanned.done, 'latin1');
    }
    if (held !== '') yield Buffer.from(this.current().replace(held, shown), 'latin1');
  }

  /** The name of a secret whose value the text shows; null: none. */
  find(text: string): string | null {
    let found: string | null = null;
    if (text.length >= REDACTED_CHARS)
      this.current().replace(text, (name) => {
        found ??= name;
        return '';
      });
    return found;
  }

  private isIdle(): boolean {
    this.current();
    return this.values.length === 0;
  }

  private current(): Matcher {
    if (this.matcher !== null) return this.matcher;
    this.values = [...this.secrets()].filter(({ value }) => value.length >= REDACTED_CHARS);
    const patterns = this.values.flatMap(({ name, value }) =>
      [...encodingsOf(value)].map((text): Pattern => ({ text, name })),
    );
    this.matcher = new Matcher(patterns);
    return this.matcher;
  }

  /** The fields of `WORDS`, wherever they are. */
  private words(value: unknown, depth: number, key = ''): unknown {
    if (typeof value === 'string') return WORDS.has(key) ? this.cutText(value, key === 'output') : value;
    if (typeof value !== 'object' || value === null || depth > WALK_DEPTH) return value;
    return mapped(value, (inner, name) => this.words(inner, depth + 1, name));
  }

  /** A text that may have been cut: agents' output at its beginning, messages at their end. */
  private cutText(text: string, output: boolean): string {
    if (output && text.length * 4 >= EXIT_OUTPUT_BYTES) {
      const piece = this.current().endAtStart(text, PIECE_CHARS);
      return (piece === 0 ? '' : '[secret]') + this.text(text.slice(piece));
    }
    if (text.length < MESSAGE_CHARS - 1) return this.text(text);
    const { done, held } = this.current().scan(text, shown, false);
    return done + (held.length < PIECE_CHARS ? held : '[secret]');
  }

  private walked(value: unknown, change: (text: string) => string, depth: number): unknown {
    if (typeof value === 'string') return change(value);
    if (typeof value !== 'object' || value === null || depth > WALK_DEPTH) return value;
    if (value instanceof Error) {
      const { name, message, stack } = value;
      return { type: name, message: change(message), stack: change(stack ?? '') };
    }
    return mapped(value, (inner) => this.walked(inner, change, depth + 1));
  }
}

/** The same list or plain object with each part changed; the very one if none is. Anything else is left as it is. */
function mapped(value: object, change: (inner: unknown, key: string) => unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map((inner: unknown) => change(inner, ''));
    return items.every((item, at) => item === value[at]) ? value : items;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  let copy: { [key: string]: unknown } | null = null;
  for (const [key, inner] of Object.entries(value)) {
    const after = change(inner, key);
    if (after !== inner) (copy ??= { ...value })[key] = after;
  }
  return copy ?? value;
}
