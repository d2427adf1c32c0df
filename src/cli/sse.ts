/**
 * Server-sent events, read frame by frame (WHATWG HTML §9.2.6). Bounded: a frame larger than `FRAME_CHARS` ends the
 * stream, since nothing that Holdfast sends is.
 */
import { Unreachable } from './failure.ts';
import { FRAME_CHARS } from './limits.ts';

export interface Frame {
  /** The last id that the stream named, on this frame or before. */
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
}

/** Frames of a stream of bytes, however they were cut into chunks. Comments (keep-alives) are passed over. */
export async function* readFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  const decoder = new TextDecoder();
  let rest = '';
  let size = 0;
  let id: string | null = null;
  let event = '';
  let data: string[] = [];
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    // A "\r" at the very end may be half of "\r\n": it waits for the next chunk.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { id, event: event === '' ? 'message' : event, data: data.join('\n') };
        [event, data, size] = ['', [], 0];
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'data') {
        data.push(value);
        size += value.length;
      } else if (field === 'event') event = value;
      else if (field === 'id') id = value;
    }
    if (size + rest.length > FRAME_CHARS) {
      throw new Unreachable('too-large', `the server sent an event of more than ${FRAME_CHARS} characters`);
    }
  }
}
