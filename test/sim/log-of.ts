/** The log as it lies on the simulated disk. */
import { readRow } from '../../src/core/event-shapes.ts';
import type { StoredEvent } from '../../src/core/events.ts';
import type { MemoryDisk } from '../../src/stores/memory.ts';
import { FLEET } from './plane.ts';

/** Every event after seq `after`, as a reader finds it: damaged rows come as quarantined ones. */
export function logOf(disk: MemoryDisk, after = 0): readonly StoredEvent[] {
  return (disk.fleets.get(FLEET)?.rows.slice(after) ?? []).map((row) => {
    const read = readRow(row);
    if (read.kind === 'newer') throw new Error(`a row of the simulated log cannot be read: ${read.message}`);
    return read.event;
  });
}
