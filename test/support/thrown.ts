/** Whatever can be thrown: errors without words, words that are none, no errors at all, and all of it inside of each other. */
import fc from 'fast-check';
import { TargetError } from '../../src/ports/target.ts';
import { StoreError } from '../../src/ports/store.ts';

const NOTHING = ['', ' ', '\n\t', '[object Object]', ' [object Error] '];
const words = fc.oneof(fc.constantFrom(...NOTHING), fc.string(), fc.constantFrom('fetch failed', 'ECONNREFUSED'));

function bare(make: (message: string) => object, message: string, more: object): object {
  return Object.assign(make(message), more);
}

/** Cannot be looked at without throwing. */
const untouchable = (): object =>
  new Proxy(
    {},
    {
      get() {
        throw new Error('not to be touched');
      },
    },
  );

function itsOwnCause(message: string): Error {
  const error = new Error(message);
  error.cause = error;
  return error;
}

export const thrown: fc.Arbitrary<unknown> = fc.letrec<{ any: unknown }>((tie) => {
  const inner = fc.option(tie('any'), { nil: undefined, depthIdentifier: 'thrown' });
  const more = fc.record(
    { code: fc.oneof(words, fc.integer(), fc.constant(undefined)), name: words, cause: inner },
    { requiredKeys: [] },
  );
  return {
    any: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'thrown' },
      words,
      fc.constantFrom<unknown>(undefined, null, 0, Number.NaN, true, 10n, Symbol('thrown'), () => 'x', [], {}),
      fc.constant(null).map(() => Object.create(null) as object),
      fc.constant(null).map(untouchable),
      words.map(itsOwnCause),
      fc.tuple(words, more).map(([message, rest]) => bare((text) => new Error(text), message, rest)),
      fc.tuple(words, more).map(([message, rest]) => bare((text) => new TypeError(text), message, rest)),
      fc.tuple(words, more).map(([message, rest]) => ({ message, ...rest })),
      fc
        .tuple(words, fc.array(inner, { maxLength: 7 }))
        .map(([message, errors]) => new AggregateError(errors, message)),
      fc.tuple(words, inner).map(([message, cause]) => new StoreError('unreachable', message, { cause })),
      fc
        .tuple(words, words, inner)
        .map(
          ([message, code, cause]) =>
            new TargetError({ class: 'transient', fault: 'instance', code, message }, null, { cause }),
        ),
    ),
  };
}).any;

/** No sentence, or one that says nothing. */
export const isWordless = (text: unknown): boolean =>
  typeof text !== 'string' || text.trim() === '' || /^\[object \w*\]$/.test(text.trim());
