/**
 * The named targets of this process, and one observer for each that is in use. A named target is made once, from the server
 * file or as the built-in of its type, and shared by all fleets.
 */
import type { Clock } from '../ports/clock.ts';
import { TargetError, type Target } from '../ports/target.ts';
import type { Log } from './log.ts';
import { TargetObserver } from './observer.ts';

/** Makes the target of that name, or null if nobody declared one. */
export type TargetMaker = (name: string) => Target | null;

export class Targets {
  private readonly make: TargetMaker;
  private readonly deployment: string;
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly observers = new Map<string, TargetObserver>();

  constructor(make: TargetMaker, deployment: string, clock: Clock, log: Log) {
    this.make = make;
    this.deployment = deployment;
    this.clock = clock;
    this.log = log;
  }

  /** The observer of that target, made at first use; null if there is no such target (any more). */
  observer(name: string): TargetObserver | null {
    const known = this.observers.get(name);
    if (known !== undefined) return known;
    const target = this.make(name);
    if (target === null) return null;
    const observer = new TargetObserver(name, target, this.deployment, this.clock, this.log);
    this.observers.set(name, observer);
    return observer;
  }

  get(name: string): Target {
    const observer = this.observer(name);
    if (observer !== null) return observer.target;
    const message = `no target is called "${name}"; it was declared when this instance was, and holdfast.yaml has it no more`;
    throw new TargetError({ class: 'terminal', fault: 'target', code: 'no-target', message });
  }

  all(): readonly TargetObserver[] {
    return [...this.observers.values()];
  }

  async close(): Promise<void> {
    for (const observer of this.observers.values()) observer.stop();
    await Promise.all([...this.observers.values()].map((observer) => observer.target.close()));
  }
}
