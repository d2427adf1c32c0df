/**
 * The one program that is ever run in a box: `rename("/plugins/.next", "/plugins/current")`, and nothing else. An engine's
 * archive API can write and read a volume, but it replaces a link by removing it first; only `rename` shows whoever looks the old
 * or the new. The agent's image may hold no program at all, so we bring these few instructions ourselves.
 *
 * A static ELF file of one segment, for each kind of machine that engines run on; it ends with the number of the kernel's error,
 * 0 for none. System calls: rename (82) and exit (60) on amd64, renameat (38) and exit (93) on arm64.
 */
import { createHash } from 'node:crypto';

export const BOX_PATH = '/plugins';
/** Not in force yet, and in force. */
export const NEXT = '.next';
export const CURRENT = 'current';

const FROM = `${BOX_PATH}/${NEXT}\0`;
const TO = `${BOX_PATH}/${CURRENT}\0`;

/** Where the kernel puts the file; below it is what no program may use. */
const BASE = 0x400000;
const HEADERS_BYTES = 64 + 56;

/** By Go's name for the machine, as engines say it. null: none for such a machine. */
export function swapProgram(arch: string): Buffer | null {
  if (arch === 'amd64') return elf(62, amd64());
  return arch === 'arm64' ? elf(183, arm64()) : null;
}

/** What it is known by on an engine: another program has another name. */
export const programId = (program: Buffer): string => createHash('sha256').update(program).digest('hex').slice(0, 12);

function amd64(): Buffer {
  const textBytes = 28;
  const fromAt = BASE + HEADERS_BYTES + textBytes;
  const text = Buffer.concat([
    Buffer.of(0xb8, 82, 0, 0, 0), // mov eax, 82
    Buffer.of(0xbf), // mov edi, from
    word(fromAt),
    Buffer.of(0xbe), // mov esi, to
    word(fromAt + FROM.length),
    Buffer.of(0x0f, 0x05), // syscall
    Buffer.of(0x89, 0xc7, 0xf7, 0xdf), // mov edi, eax; neg edi
    Buffer.of(0xb8, 60, 0, 0, 0), // mov eax, 60
    Buffer.of(0x0f, 0x05), // syscall
  ]);
  return Buffer.concat([text, Buffer.from(FROM + TO)]);
}

function arm64(): Buffer {
  const textBytes = 9 * 4;
  // adr: an address relative to that instruction.
  const adr = (register: number, at: number, to: number): Buffer =>
    word((0x10000000 | (((to - at) & 3) << 29) | (((to - at) >> 2) << 5) | register) >>> 0);
  const text = Buffer.concat([
    word(0x92800c60), // mov x0, #-100 (AT_FDCWD)
    adr(1, 4, textBytes),
    word(0x92800c62), // mov x2, #-100
    adr(3, 12, textBytes + FROM.length),
    word(0xd28004c8), // mov x8, #38
    word(0xd4000001), // svc #0
    word(0xcb0003e0), // neg x0, x0
    word(0xd2800ba8), // mov x8, #93
    word(0xd4000001), // svc #0
  ]);
  return Buffer.concat([text, Buffer.from(FROM + TO)]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Fields by the ELF-64 object file format: a file header, one program header, and the segment itself. */
function elf(machine: number, segment: Buffer): Buffer {
  const file = Buffer.concat([Buffer.alloc(HEADERS_BYTES), segment]);
  file.write('\x7fELF', 'latin1');
  file.set([2, 1, 1], 4); // 64 bits, little-endian, version 1
  file.writeUInt16LE(2, 16); // ET_EXEC
  file.writeUInt16LE(machine, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(BASE + HEADERS_BYTES), 24); // entry
  file.writeBigUInt64LE(64n, 32); // program headers begin here
  file.writeUInt16LE(64, 52); // size of this header
  file.writeUInt16LE(56, 54); // size and number of program headers
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64); // PT_LOAD
  file.writeUInt32LE(5, 68); // read, execute
  file.writeBigUInt64LE(BigInt(BASE), 80);
  file.writeBigUInt64LE(BigInt(BASE), 88);
  file.writeBigUInt64LE(BigInt(file.length), 96);
  file.writeBigUInt64LE(BigInt(file.length), 104);
  file.writeBigUInt64LE(0x10000n, 112); // the largest page that arm64 has
  return file;
}
