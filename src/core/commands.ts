/**
 * What cannot be asked of an instance, said before it becomes a fact. A command that is accepted here always has an effect
 * that the table knows.
 */
import type { Verb } from './events.ts';
import type { Instance } from './model.ts';

export interface Inadmissible {
  readonly rule: string;
  readonly message: string;
}

const no = (rule: string, message: string): Inadmissible => ({ rule, message });

/** Why this verb cannot be, or null. */
export function inadmissible(inst: Instance, verb: Verb): Inadmissible | null {
  const { name, spec } = inst;
  if (inst.desired === 'deleted') return no('deleting', `${name} is being deleted; declare it again for a new one`);
  const external = spec.targetType === 'external';
  const lazy = spec.lifecycle === 'lazy';
  const stopped = inst.desired === 'stopped';
  switch (verb) {
    case 'reconcile':
      return null;
    case 'stop':
      return stopped ? no('stopped', `${name} is stopped already`) : null;
    case 'resume':
      return null;
    case 'restart':
      if (external) return no('external', `${name} runs elsewhere; Holdfast neither starts nor stops it`);
      if (stopped) return no('stopped', `${name} is stopped; resume starts it`);
      return lazy && !inst.awake ? no('asleep', `${name} sleeps; wake starts it`) : null;
    case 'wake':
      if (!lazy) return no('not-lazy', `${name} is not lazy; it never sleeps`);
      return stopped ? no('stopped', `${name} is stopped; resume it first`) : null;
    case 'sleep':
      if (!lazy) return no('not-lazy', `${name} is not lazy; stop it if it should not run`);
      return stopped ? no('stopped', `${name} is stopped; it sleeps deeper than that`) : null;
  }
}
