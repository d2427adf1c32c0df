/** An agent that keeps notes in its volume, and answers over HTTP. It says what it is, and whether it is ready. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const file = '/data/notes.txt';
const count = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0);

const server = createServer((request, response) => {
  if (request.url === '/readyz') {
    response.end('ready\n');
    return;
  }
  if (request.method === 'POST') {
    request.setEncoding('utf8');
    let body = '';
    request.on('data', (part) => (body = (body + part).slice(0, 10_000)));
    request.on('end', () => {
      appendFileSync(file, `${body.replaceAll('\n', ' ')}\n`);
      response.end(`noted, as number ${count()}\n`);
    });
    return;
  }
  response.end(
    `${process.env.GREETING ?? 'hello'} from ${process.env.HOLDFAST_INSTANCE ?? 'nobody'}. Notes: ${count()}\n`,
  );
});

server.listen(8080, () => console.log('listening on 8080'));
// As the first process of a container it ends on SIGTERM only if it says so.
process.on('SIGTERM', () => {
  console.log('asked to stop, closing');
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
