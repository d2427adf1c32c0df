/** A hot agent: keeps notes over HTTP, and says whether it is ready. */
import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 7731);
const notes = [];

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
      notes.push(body);
      response.end(`noted, as number ${notes.length}\n`);
    });
    return;
  }
  response.end(`I am ${process.env.HOLDFAST_INSTANCE ?? 'a scribe'}, pid ${process.pid}. Notes: ${notes.length}\n`);
});

server.listen(port, '127.0.0.1', () => console.log(`scribe: listening on 127.0.0.1:${port}`));
process.on('SIGTERM', () => {
  console.log('scribe: asked to stop, closing');
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
