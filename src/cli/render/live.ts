/**
 * A block of lines that is drawn anew in place, on a terminal. It never grows past the rows it is given, so that what
 * scrolled away is never drawn twice.
 */
import type { Io } from '../io.ts';

export interface Live {
  readonly draw: (lines: readonly string[]) => Promise<void>;
}

const UP_AND_CLEAR = (rows: number): string => (rows === 0 ? '' : `\u001b[${rows}A\u001b[J`);

export function liveBlock(io: Io): Live {
  let drawn = 0;
  return {
    draw: async (lines) => {
      await io.out(`${UP_AND_CLEAR(drawn)}${lines.map((line) => `${line}\n`).join('')}`);
      drawn = lines.length;
    },
  };
}
