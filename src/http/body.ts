/**
 * Reads a body within its bound. Promises: never more than `limitBytes` in memory, however the body is framed and whatever
 * its Content-Length says; a body that is no UTF-8 text is refused instead of patched up.
 */
import { wordsOf } from '../core/error-words.ts';
import { Problem } from './problem.ts';

export async function readText(request: Request, limitBytes: number): Promise<string> {
  const encoding = request.headers.get('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity') {
    throw new Problem(
      'unsupported-media-type',
      `Send the body as it is, without Content-Encoding "${encoding.slice(0, 32)}".`,
    );
  }
  if (Number(request.headers.get('content-length') ?? 0) > limitBytes) throw tooLarge(limitBytes);
  if (request.body === null) return '';
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      sizeBytes += value.byteLength;
      if (sizeBytes > limitBytes) throw tooLarge(limitBytes);
      chunks.push(value);
    }
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem('bad-request', 'The body broke off before its end.');
  } finally {
    reader.releaseLock();
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new Problem('bad-request', 'The body is not UTF-8 text.');
  }
}

/** JSON, or undefined for an empty body. The text, which may hold secrets, is not repeated in the problem. */
export async function readJson(request: Request, limitBytes: number): Promise<unknown> {
  const text = await readText(request, limitBytes);
  if (text.trim() === '') return undefined;
  const type = (request.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (type !== 'application/json' && !/^application\/[a-z0-9.-]+\+json$/.test(type)) {
    throw new Problem('unsupported-media-type', 'Send "Content-Type: application/json".', {
      headers: { Accept: 'application/json' },
    });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    // V8 says where only for some mistakes, and repeats the text for the others.
    const offset = /position (\d+)/.exec(wordsOf(error))?.[1];
    const line = offset === undefined ? null : text.slice(0, Number(offset)).split('\n').length;
    const where = line === null ? '' : `: it breaks at line ${line}`;
    throw new Problem('bad-request', `The body is not JSON${where}.`, {
      errors: [{ path: '', line, message: 'not JSON' }],
    });
  }
}

function tooLarge(limitBytes: number): Problem {
  return new Problem('too-large', `A body here has at most ${limitBytes} bytes.`);
}
