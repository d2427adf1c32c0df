/**
 * Colours: on a terminal that shows them, and not where NO_COLOR (https://no-color.org) says no. They only repeat what
 * the words say. Nothing that is not proved to run is green.
 */
import { styleText } from 'node:util';
import type { Phase } from '../../core/model.ts';
import type { Io } from '../io.ts';

export type Tone = 'good' | 'work' | 'warn' | 'bad' | 'rest' | 'doubt' | 'strong' | 'faint';

export type Paint = (tone: Tone, text: string) => string;

const STYLES: { readonly [tone in Tone]: Parameters<typeof styleText>[0] } = {
  good: 'green',
  work: 'cyan',
  warn: 'yellow',
  bad: ['bold', 'red'],
  rest: 'blue',
  doubt: 'magenta',
  strong: 'bold',
  faint: 'dim',
};

export function paintFor(io: Pick<Io, 'tty' | 'env'>): Paint {
  const colours = io.tty && (io.env['NO_COLOR'] ?? '') === '' && io.env['TERM'] !== 'dumb';
  return colours ? (tone, text) => styleText(STYLES[tone], text, { validateStream: false }) : (_tone, text) => text;
}

export function toneOf(phase: Phase | null): Tone {
  switch (phase) {
    case 'RUNNING':
      return 'good';
    case 'CREATING':
    case 'PENDING':
    case 'RECONCILING':
    case 'DELETING':
      return 'work';
    case 'DEGRADED':
      return 'warn';
    case 'SLEEPING':
    case 'STOPPED':
      return 'rest';
    case 'UNKNOWN':
    case 'OFFLINE':
      return 'doubt';
    case 'ERROR':
      return 'bad';
    case null:
      return 'faint';
  }
}
