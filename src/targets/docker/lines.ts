/**
 * Streams of the engine, taken apart: lines of JSON (events, progress), and the frames of container output.
 */
import type { Readable } from 'node:stream';
import { EVENT_BYTES } from './limits.ts';

/** Lines without their ends; an unended last one counts. Throws when one is larger than any of the engine's are. */
export async function* linesOf(stream: Readable): AsyncGenerator<string> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > EVENT_BYTES) throw new Error(`a line of more than ${EVENT_BYTES} bytes came from the engine`);
    for (const line of lines) if (line.trim() !== '') yield line;
  }
  if (rest.trim() !== '') yield rest;
}

const HEADER_BYTES = 8;

/**
 * The payload of multiplexed output, stdout and stderr in the order they came. Each frame is led by its stream (1 byte), three
 * zeros and its length (4 bytes, big endian): Engine API, "ContainerAttach". Its bytes are passed on as they come.
 */
export async function* framesOf(stream: Readable): AsyncGenerator<Uint8Array> {
  let header = Buffer.alloc(0);
  let left = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let at = 0;
    while (at < chunk.length) {
      if (left === 0) {
        const more = chunk.subarray(at, at + HEADER_BYTES - header.length);
        header = Buffer.concat([header, more]);
        at += more.length;
        if (header.length < HEADER_BYTES) break;
        left = header.readUInt32BE(4);
        header = Buffer.alloc(0);
      }
      const part = chunk.subarray(at, at + left);
      at += part.length;
      left -= part.length;
      if (part.length > 0) yield part;
    }
  }
}
