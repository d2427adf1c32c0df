/** `token`: who may ask this server what. */
import { formatDuration } from '../../core/units.ts';
import { declare, declareGroup, type Session } from '../command.ts';
import { EXIT_OK, Failure } from '../failure.ts';
import { duration } from '../options.ts';
import { age } from '../render/ages.ts';
import { table } from '../render/table.ts';

const GROUP = 'Server:';
const SCOPES = ['read', 'operate', 'admin'];

export function registerToken(session: Session): void {
  const token = declareGroup(session.program, 'token', 'Creates, lists and deletes tokens for the API.', GROUP);
  declare<{ scope: string; for?: string[]; expiresIn?: number }>(session, token, {
    usage: 'create <name>',
    description: 'Creates a token and prints it, once: only its hash is kept.',
    group: GROUP,
    shared: ['output', 'data'],
    examples: ['holdfast token create ci --scope operate --for demo --expires-in 30d'],
    options: (command) =>
      command
        .option('--scope <scope>', `${SCOPES.join(', ')}; read sees logs and config as well`, 'read')
        .option('--for <fleet...>', 'only these fleets (default: every one)')
        .option('--expires-in <time>', 'void after this time (default: never)', duration),
    run: async (context, args, options) => {
      const [name = ''] = args;
      if (!SCOPES.includes(options.scope))
        throw new Failure('usage', `A scope is one of ${SCOPES.join(', ')}, not ${JSON.stringify(options.scope)}.`);
      const created = await context.client().createToken({
        name,
        scope: options.scope,
        ...(options.for === undefined ? {} : { fleets: options.for }),
        ...(options.expiresIn === undefined ? {} : { expiresIn: formatDuration(options.expiresIn) }),
      });
      if (context.json) {
        await context.printJson(created);
      } else {
        await context.print(created.token);
        await context.note(`Token "${name}" (${created.scope}) is shown above, once; use it as HOLDFAST_TOKEN.`);
      }
      return EXIT_OK;
    },
  });
  declare(session, token, {
    usage: 'list',
    description: 'Lists the tokens with their scope and expiry; never the tokens themselves.',
    group: GROUP,
    shared: ['output', 'data'],
    examples: ['holdfast token list'],
    run: async (context) => {
      const tokens = await context.client().tokens();
      const now = context.io.now();
      const rows = tokens.map((each) => [
        each.name,
        each.scope,
        each.fleets === null ? 'all' : each.fleets.join(','),
        age(each.createdAt, now),
        each.expiresAt === null ? 'never' : age(each.expiresAt, now),
      ]);
      if (context.json) await context.printJson({ items: tokens, next: null });
      else if (tokens.length === 0) await context.note('There are no tokens.');
      else
        await context.print(
          table(['NAME', 'SCOPE', 'FLEETS', 'CREATED', 'EXPIRES'], rows, context.paint, context.width),
        );
      return EXIT_OK;
    },
  });
  declare(session, token, {
    usage: 'delete <name>',
    description: 'Deletes a token; whoever uses it is refused from then on.',
    group: GROUP,
    shared: ['output', 'data'],
    examples: ['holdfast token delete ci'],
    run: async (context, args) => {
      const [name = ''] = args;
      await context.client().dropToken(name);
      if (context.json) await context.printJson({ name, deleted: true });
      else await context.print(`Token "${name}" is deleted.`);
      return EXIT_OK;
    },
  });
}
