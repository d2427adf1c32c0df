/** What is taken out of texts, in whatever form it stands there and however it is cut. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { NewEvent } from '../../src/core/events.ts';
import { EXIT_OUTPUT_BYTES, MESSAGE_CHARS } from '../../src/core/limits.ts';
import { Matcher } from '../../src/runtime/secrets/matcher.ts';
import { Redactor, type RedactedSecret } from '../../src/runtime/secrets/redactor.ts';
import { SAMPLE_EVENTS } from '../support/sample-events.ts';

const redactorOf = (secrets: { readonly [name: string]: string }): Redactor =>
  new Redactor(() => Object.entries(secrets).map(([name, value]): RedactedSecret => ({ name, value })));

async function streamed(redactor: Redactor, parts: readonly Uint8Array[]): Promise<string> {
  async function* source(): AsyncGenerator<Uint8Array> {
    yield* parts;
  }
  const out: Uint8Array[] = [];
  for await (const part of redactor.stream(source())) out.push(part);
  return Buffer.concat(out).toString('utf8');
}

const KEY = 'sk-live/"q"+ü&1';
const inBase64 = (text: string): string => Buffer.from(text).toString('base64');

describe('encodings', () => {
  const redactor = redactorOf({
    llm: KEY,
    pem: '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nshort\n-----END KEY-----',
  });
  const forms: { readonly [form: string]: string } = {
    'as it is': KEY,
    'in JSON': JSON.stringify({ k: KEY }),
    'in pure ASCII JSON': JSON.stringify(KEY).replace('ü', '\\u00fc'),
    'twice in one line': `${KEY},${KEY}`,
    'in a URL': `https://x/?key=${encodeURIComponent(KEY)}`,
    'in a URL, lower case': `key=${encodeURIComponent(KEY).replaceAll(/%../g, (code) => code.toLowerCase())}`,
    'in base64': inBase64(KEY),
    'in base64url': Buffer.from(KEY).toString('base64url'),
    'in Basic authentication': `Basic ${inBase64(`user:${KEY}`)}`,
    'in the middle of base64': inBase64(`aa${KEY}bbb`),
    'in hex': Buffer.from(KEY).toString('hex'),
    'in upper-case hex': Buffer.from(KEY).toString('hex').toUpperCase(),
    'as UTF-8 that was read as latin1': Buffer.from(KEY).toString('latin1'),
  };
  for (const [form, text] of Object.entries(forms)) {
    test(`a value ${form} is taken out`, async () => {
      const said = redactor.text(`before ${text} after`);
      assert.match(said, /^before .*\[secret:llm\].* after$/);
      for (const shown of [KEY, encodeURIComponent(KEY), inBase64(KEY).slice(4, -4)])
        assert.ok(!said.includes(shown), said);
      // In a stream of bytes that is twice decoded, which is not looked for.
      if (form.includes('latin1')) return;
      assert.match(await streamed(redactor, [Buffer.from(text)]), /\[secret:llm\]/);
    });
  }

  test('a line of a value with several is taken out alone, but not what every PEM has', () => {
    assert.equal(redactor.text('x MIIEvQIBADANBgkqhkiG9w0 y'), 'x [secret:pem] y');
    assert.equal(redactor.text('-----BEGIN KEY-----'), '-----BEGIN KEY-----');
  });

  test('shorter values stay, since they are everywhere by chance', () => {
    assert.equal(redactorOf({ pin: '1234567' }).text('1234567'), '1234567');
    assert.equal(redactorOf({ pin: '12345678' }).text('12345678'), '[secret:pin]');
  });

  test('of values that begin alike the longest is taken out', () => {
    const both = redactorOf({ short: 'abcdefgh', long: 'abcdefghijkl' });
    assert.equal(both.text('abcdefghijkl abcdefghij'), '[secret:long] [secret:short]ij');
  });
});

describe('streams', () => {
  const secrets = { one: 'sk-0123456789', two: '9-sk-sk-0123', three: 'ünïcödé-välüe' };
  const redactor = redactorOf(secrets);

  test('whatever is said, and however it is cut, no value comes through and all else does', async () => {
    const words = fc.constantFrom(
      'sk-',
      '0123456789',
      '9-sk-',
      '\n',
      'x',
      'ü',
      ...Object.values(secrets),
      'sk-01234567',
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(fc.array(words, { maxLength: 12 }), cuts, async (said, sizes) => {
        const bytes = Buffer.from(said.join(''));
        const parts: Buffer[] = [];
        for (let at = 0, i = 0; at < bytes.length; i += 1) {
          const size = sizes[i % sizes.length] ?? 1;
          parts.push(bytes.subarray(at, at + size));
          at += size;
        }
        const whole = await streamed(redactor, [bytes]);
        assert.equal(await streamed(redactor, parts), whole);
        assert.equal(whole, redactor.text(said.join('')));
        for (const value of Object.values(secrets)) assert.ok(!whole.includes(value));
      }),
      { numRuns: 500 },
    );
  });

  test('what cannot be the beginning of a value is passed on at once', async () => {
    const passed: string[] = [];
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('ready, key sk-01');
      await released;
      yield Buffer.from('23456789!\n');
    }
    for await (const part of redactor.stream(source())) {
      passed.push(Buffer.from(part).toString());
      release();
    }
    assert.deepEqual(passed, ['ready, key ', '[secret:one]!\n']);
  });

  test('bytes that are no text come through as they are', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const out: number[] = [];
    async function* source(): AsyncGenerator<Uint8Array> {
      yield bytes;
    }
    for await (const part of redactor.stream(source())) out.push(...part);
    assert.deepEqual(out, [...bytes]);
  });
});

test('the matcher finds what a plain search finds', () => {
  const letters = fc.constantFrom('a', 'b');
  const word = fc.array(letters, { minLength: 8, maxLength: 12 }).map((all) => all.join(''));
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 5 }), fc.array(letters, { maxLength: 80 }), (words, all) => {
      const text = all.join('');
      let expected = '';
      for (let at = 0; at < text.length;) {
        const found = words.filter((one) => text.startsWith(one, at)).sort((a, b) => b.length - a.length)[0];
        expected += found === undefined ? text[at] : `<${found}>`;
        at += found?.length ?? 1;
      }
      const matcher = new Matcher(words.map((one) => ({ text: one, name: one })));
      assert.equal(
        matcher.replace(text, (name) => `<${name}>`),
        expected,
      );
    }),
    { numRuns: 1_000 },
  );
});

describe('events', () => {
  const value = 'sk-0123456789abcdef';
  const redactor = redactorOf({ llm: value });
  const one = { instance: 'a', uid: 'u1' };

  test('words of agents, targets and people are changed, names and references are not', () => {
    const exit = { code: 1, signal: null, oom: false, output: `key is ${value}` };
    const event: NewEvent = {
      type: 'resource.observed',
      ...one,
      data: { state: 'stopped', ref: value, incarnation: value, infra: value, exit, restarts: 0, attrs: {}, began: 1 },
      by: { token: value, via: 'cli', reason: `was ${value}` },
    };
    assert.deepEqual(redactor.event(event), {
      ...event,
      data: { ...event.data, exit: { ...exit, output: 'key is [secret:llm]' } },
      by: { token: value, via: 'cli', reason: 'was [secret:llm]' },
    });
  });

  test('whatever has nothing in it is the very event', () => {
    for (const event of SAMPLE_EVENTS) assert.equal(redactor.event(event), event);
    assert.equal(redactorOf({}).event(SAMPLE_EVENTS[0]!), SAMPLE_EVENTS[0]);
  });

  test('no piece of a value is left where the last output or a message was cut', () => {
    const rest = ` then it died${'.'.repeat(EXIT_OUTPUT_BYTES)}`;
    const output = `${value.slice(5)}${rest}`.slice(0, EXIT_OUTPUT_BYTES);
    const exit = { code: 1, signal: null, oom: false, output };
    const flap = { kind: 'process_exited', incarnation: null, exit, output: null } as const;
    const said = redactor.event({ type: 'flap.observed', ...one, data: flap });
    assert.ok(JSON.stringify(said).includes('[secret] then it died'));
    assert.ok(!JSON.stringify(said).includes(value.slice(5, 12)));
    const message = 'x'.repeat(MESSAGE_CHARS).slice(value.length - 4) + value.slice(0, -4);
    const stale = redactor.event({ type: 'target.stale', data: { target: 't', message } });
    assert.ok(JSON.stringify(stale).includes('x[secret]"'));
  });
});

test('of an error in a line of the log its words are kept, without the value', () => {
  const redactor = redactorOf({ llm: 'sk-0123456789' });
  const said = JSON.stringify(redactor.json({ err: new TypeError('bad key sk-0123456789'), n: 1 }));
  assert.match(
    said,
    /"type":"TypeError","message":"bad key \[secret:llm\]","stack":"TypeError: bad key \[secret:llm\]/,
  );
});
