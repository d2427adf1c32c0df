/**
 * `apply` and `diff`: a manifest, sent as it is written. What the file no longer has is named every time, never kept
 * without a word (L56); what an edit will do to what runs is said before and after.
 */
import type { ApplyResult } from '../../runtime/api.ts';
import { declare, type Context, type Session } from '../command.ts';
import { converge, type Awaited } from '../converge.ts';
import { EXIT_NEGATIVE, EXIT_OK, Failure, ProblemFailure } from '../failure.ts';
import { timeoutOption, waitTime, wholeNumber } from '../options.ts';
import { planInWords } from '../render/plan.ts';
import { progress, unsettledInWords } from '../render/progress.ts';

const GROUP = 'Declare:';

interface ApplyOptions {
  readonly file: string;
  readonly dryRun?: boolean;
  readonly prune?: number;
  readonly replace?: boolean;
  readonly wait?: boolean;
  readonly timeout: number;
}

export function registerApply(session: Session): void {
  declare<ApplyOptions>(session, session.program, {
    usage: 'apply',
    description: 'Declares a fleet: what the file says is what will run.',
    group: GROUP,
    examples: [
      'holdfast apply -f fleet.yaml --wait',
      'holdfast apply -f fleet.yaml --dry-run',
      'holdfast apply -f fleet.yaml --prune 2',
    ],
    options: (command) =>
      command
        .requiredOption('-f, --file <file>', 'the manifest, YAML or JSON; "-" is standard input')
        .option('--dry-run', 'only say what would change')
        .option(
          '--prune <number>',
          'delete the instances that the file no longer has, if there are as many as you say',
          wholeNumber,
        )
        .option('--replace', 'let an instance move to another target: the old one is deleted, a new one created')
        .option('--wait', 'until everything in the file is as declared, has failed or is held')
        .addOption(timeoutOption(waitTime, 'how long --wait waits')),
    run: async (context, _args, options) => {
      const { fleet, result } = await send(context, session, options);
      const refused = result.problems.length > 0;
      const follow = options.wait === true && !result.dryRun;
      if (!context.json) await context.print(planInWords(result, fleet, options.file, context));
      else if (!follow) await context.printJson(result);
      if (!follow) return refused ? EXIT_NEGATIVE : EXIT_OK;
      return await wait(context, fleet, result, options.timeout);
    },
  });
  declare<{ file: string; replace?: boolean; prune?: number }>(session, session.program, {
    usage: 'diff',
    description: 'Compares a manifest with what is declared: exit 0 the same, 1 it differs, 2 an error.',
    group: GROUP,
    examples: ['holdfast diff -f fleet.yaml'],
    options: (command) =>
      command
        .requiredOption('-f, --file <file>', 'the manifest, YAML or JSON; "-" is standard input')
        .option('--prune <number>', 'as `apply --prune` would', wholeNumber)
        .option('--replace', 'as `apply --replace` would'),
    run: async (context, _args, options) => {
      const { fleet, result } = await send(context, session, { ...options, dryRun: true });
      const same =
        result.results.every((each) => each.result === 'unchanged') &&
        result.revision === (await revisionOf(context, fleet));
      if (context.json) await context.printJson(result);
      else if (same) await context.print(`Fleet ${fleet} is declared exactly so.`);
      else await context.print(planInWords(result, fleet, options.file, context));
      return same ? EXIT_OK : EXIT_NEGATIVE;
    },
  });
}

async function send(
  context: Context,
  session: Session,
  options: Pick<ApplyOptions, 'file' | 'dryRun' | 'prune' | 'replace'>,
): Promise<{ fleet: string; result: ApplyResult }> {
  // Only here: reading YAML is most of the time that the CLI takes to start.
  const { readManifestFile, shownName } = await import('../manifest-file.ts');
  session.file = shownName(context.io, options.file);
  const manifest = await readManifestFile(context.io, options.file);
  const { fleetAsked } = context;
  if (fleetAsked !== null && manifest.fleet !== null && fleetAsked !== manifest.fleet) {
    throw new Failure(
      'wrong-fleet',
      `${manifest.shown} declares fleet "${manifest.fleet}", but you said "${fleetAsked}": leave out --fleet (and HOLDFAST_FLEET).`,
    );
  }
  // A file without a fleet is the server's to refuse, with the line; it needs some name in the path for that.
  const fleet = manifest.fleet ?? fleetAsked ?? 'fleet';
  const { dryRun = false, prune = null, replace = false } = options;
  return { fleet, result: await context.client().apply(fleet, manifest.text, { dryRun, prune, replace }) };
}

async function revisionOf(context: Context, fleet: string): Promise<string | null> {
  try {
    return (await context.client().fleet(fleet)).revision;
  } catch (error) {
    if (error instanceof ProblemFailure && error.problem.status === 404) return null;
    throw error;
  }
}

async function wait(context: Context, fleet: string, result: ApplyResult, timeoutMs: number): Promise<number> {
  const awaited = touched(result);
  const all = await converge(context.client(), context.io, {
    fleet,
    seq: result.seq,
    awaited,
    timeoutMs,
    onLook: awaited.length === 0 ? async () => undefined : progress(context),
  });
  if (context.json) {
    const waited = all.map(({ name, outcome, view }) => ({
      instance: name,
      outcome: outcome === 'settled' ? 'succeeded' : outcome,
      phase: view?.phase ?? null,
      lastError: view?.lastError ?? null,
      hold: view?.hold ?? null,
    }));
    await context.printJson({ ...result, waited });
  } else if (all.length > 0) {
    await context.print(unsettledInWords(all, context));
  }
  return all.every(({ outcome }) => outcome === 'settled') ? EXIT_OK : EXIT_NEGATIVE;
}

/** Everybody in the file, since "as declared" is asked of all of it, and whoever was pruned. */
function touched(result: ApplyResult): readonly Awaited[] {
  return result.results.flatMap(({ name, result: what }): Awaited[] => {
    if (what === 'undeclared') return [];
    return [{ name, leaving: what === 'pruned' }];
  });
}
