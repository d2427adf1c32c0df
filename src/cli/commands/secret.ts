/** `secret`: values that agents get and nobody reads back. Never on the command line, where `ps` and the shell's history show them. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { wordsOf } from '../../core/error-words.ts';
import { declare, declareGroup, type Context, type Session } from '../command.ts';
import { EXIT_OK, Failure } from '../failure.ts';
import { age } from '../render/ages.ts';
import { table } from '../render/table.ts';
import { names } from '../render/text.ts';

const GROUP = 'Change:';
const USERS_SHOWN = 5;

export function registerSecret(session: Session): void {
  const secret = declareGroup(session.program, 'secret', 'Stores, lists and deletes secrets for agents.', GROUP);
  declare<{ fromFile?: string; exact?: boolean }>(session, secret, {
    usage: 'set <name>',
    description: 'Stores a secret or a new version of it, from a file, from standard input, or asked without echo.',
    group: GROUP,
    examples: [
      'holdfast secret set llm',
      'holdfast secret set llm --from-file key.txt',
      'pass show llm | holdfast secret set llm --fleet demo',
    ],
    options: (command) =>
      command
        .option('--from-file <file>', 'take the value from a file')
        .option('--exact', 'keep a line end at the end of the value (default: one is dropped)'),
    run: async (context, args, options) => {
      const [name = ''] = args;
      const value = await valueOf(context, name, options);
      const stored = await context.client().putSecret(await context.fleet(), name, value);
      if (context.json) {
        await context.printJson(stored);
        return EXIT_OK;
      }
      await context.print(`Secret "${name}" is at version ${stored.version}.`);
      if (stored.users > 0)
        await context.note(`Used by ${names(stored.usedBy, USERS_SHOWN)}: brought to the new version by a rollout.`);
      if (stored.note !== null) await context.note(`Note: ${stored.note}.`);
      return EXIT_OK;
    },
  });
  declare(session, secret, {
    usage: 'list',
    description: 'Lists the secrets with their version and who uses them; never their values.',
    group: GROUP,
    examples: ['holdfast secret list'],
    run: async (context) => {
      const found = await context.client().secrets(await context.fleet());
      const now = context.io.now();
      if (context.json) await context.printJson({ items: found, next: null });
      else if (found.length === 0) await context.note('No secrets are stored.');
      else {
        const rows = found.map((each) => [
          each.name,
          String(each.version),
          age(each.storedAt, now),
          each.users === 0 ? '–' : names(each.usedBy, USERS_SHOWN),
        ]);
        await context.print(table(['NAME', 'VERSION', 'STORED', 'USED BY'], rows, context.paint, context.width));
      }
      return EXIT_OK;
    },
  });
  declare(session, secret, {
    usage: 'rm <name>',
    description: 'Deletes a secret with all its versions; refused while an instance is declared with it.',
    group: GROUP,
    examples: ['holdfast secret rm llm'],
    run: async (context, [name = '']) => {
      await context.client().deleteSecret(await context.fleet(), name);
      if (context.json) await context.printJson({ name, deleted: true });
      else await context.print(`Secret "${name}" is deleted.`);
      return EXIT_OK;
    },
  });
}

async function valueOf(
  { io }: Context,
  name: string,
  options: { readonly fromFile?: string; readonly exact?: boolean },
): Promise<string> {
  if (options.fromFile === undefined && io.interactive) return io.askHidden(`Value of ${name} (it is not shown): `);
  const bytes =
    options.fromFile === undefined ? Buffer.from(await io.stdin()) : await fileBytes(io.cwd, options.fromFile);
  const text = bytes.toString('utf8');
  if (!Buffer.from(text).equals(bytes))
    throw new Failure(
      'usage',
      'The value is not UTF-8 text. Store binary data in base64, and let the agent decode it.',
    );
  return options.exact === true ? text : text.replace(/\r?\n$/, '');
}

async function fileBytes(cwd: string, file: string): Promise<Buffer> {
  try {
    return await readFile(resolve(cwd, file));
  } catch (error) {
    throw new Failure('usage', `${file} cannot be read: ${wordsOf(error)}`);
  }
}
