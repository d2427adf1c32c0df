/** Reads Prometheus' text format, as far as Holdfast writes it. */
import assert from 'node:assert/strict';

export interface Sample {
  readonly name: string;
  readonly labels: { readonly [label: string]: string };
  readonly value: number;
}

export interface Exposition {
  readonly text: string;
  /** Families, as `# TYPE` names them. */
  readonly types: ReadonlyMap<string, string>;
  readonly samples: readonly Sample[];
  /** The one sample of that name with (at least) these labels; fails if there is none, or more. */
  value(name: string, labels?: Sample['labels']): number;
  all(name: string, labels?: Sample['labels']): readonly Sample[];
}

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)",?/g;

export function readExposition(text: string): Exposition {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type !== null) types.set(type[1] ?? '', type[2] ?? '');
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', labels = '', value = ''] = LINE.exec(line) ?? [];
    assert.notEqual(name, '', `not a sample: ${line}`);
    samples.push({
      name,
      labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, label = '', said = '']) => [label, said])),
      value: Number(value),
    });
  }
  const all = (name: string, labels: Sample['labels'] = {}): readonly Sample[] =>
    samples.filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    );
  return {
    text,
    types,
    samples,
    all,
    value(name, labels = {}) {
      const found = all(name, labels);
      assert.equal(found.length, 1, `${name} ${JSON.stringify(labels)}: ${found.length} samples`);
      return found[0]?.value ?? Number.NaN;
    },
  };
}
