/**
 * What many instances share, once: specs and their parts by number in a snapshot's text, equal texts by reference in memory.
 */
import type { Json, Resource, Spec } from './model.ts';

/** Parts that templates give to many; the rest of a spec is written out. */
const SHARED_PARTS = [
  'labels',
  'run',
  'health',
  'heartbeat',
  'config',
  'plugins',
  'expose',
] as const satisfies readonly (keyof Spec)[];

/** Gives equal specs and equal parts one number each; the same object is only looked at once. */
export class Pool {
  readonly parts: Json[] = [];
  readonly specs: Json[] = [];
  private readonly numbers = new Map<string, number>();
  private readonly seen = new Map<object, number>();

  spec(spec: Spec): number {
    return this.number(spec, this.specs, 'spec', () => {
      const parts = Object.fromEntries(SHARED_PARTS.map((key) => [key, this.part(spec[key] as Json)]));
      return { ...spec, ...parts } as unknown as Json;
    });
  }

  private part(part: Json): number {
    const itself = (): Json => part;
    if (typeof part !== 'object' || part === null) return this.place(part, this.parts, 'part');
    return this.number(part, this.parts, 'part', itself);
  }

  private number(value: object, list: Json[], kind: string, made: () => Json): number {
    const seen = this.seen.get(value);
    if (seen !== undefined) return seen;
    const at = this.place(made(), list, kind);
    this.seen.set(value, at);
    return at;
  }

  private place(value: Json, list: Json[], kind: string): number {
    const key = `${kind}\0${JSON.stringify(value)}`;
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    list.push(value);
    this.numbers.set(key, list.length - 1);
    return list.length - 1;
  }
}

/** Specs as they were, sharing what they shared. */
export function unpacked(specs: readonly Json[], parts: readonly Json[]): readonly Spec[] {
  return specs.map((packed) => {
    const spec = { ...(packed as object) } as { [key: string]: unknown };
    for (const key of SHARED_PARTS) spec[key] = parts[spec[key] as number];
    return spec as unknown as Spec;
  });
}

// ── in memory ───────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * `kept` where the two are equal. Most looks ask whether what is applied is what is declared: of one copy, that costs nothing,
 * of two it is a walk through both.
 */
export const oneCopy = <T extends string | null>(text: T, kept: T): T => (text === kept ? kept : text);

export interface Sharer {
  /** One copy of equal texts: the hash that is declared, applied, observed and persisted is mostly one. */
  readonly text: (text: string) => string;
  readonly attrs: (attrs: Resource['attrs']) => Resource['attrs'];
}

export function sharer(): Sharer {
  const texts = new Map<string, string>();
  const none: Resource['attrs'] = {};
  return {
    text: (text) => {
      const known = texts.get(text);
      if (known !== undefined) return known;
      texts.set(text, text);
      return text;
    },
    attrs: (attrs) => (Object.keys(attrs).length === 0 ? none : attrs),
  };
}
