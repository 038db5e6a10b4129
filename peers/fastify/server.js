// Fastify and node-postgres, a process per core. STYLE says how a request enters its tenant.
'use strict';

const cluster = require('node:cluster');

const { PORT, WORKERS, POOL, DATABASE_URL, UNTENANTED } = process.env;
const STYLE = UNTENANTED === '1' ? 'untenanted' : process.env.STYLE;

const users = {
  type: 'array',
  items: { type: 'object', properties: { id: { type: 'integer' }, username: { type: 'string' } } },
};
const newNote = { type: 'object', required: ['text'], properties: { text: { type: 'string' } } };

function serve() {
  const { Pool } = require('pg');
  const fastify = require('fastify')();
  const pool = new Pool({ connectionString: DATABASE_URL, max: Number(POOL), min: Number(POOL), idleTimeoutMillis: 0 });
  const style = require(`./${STYLE}.js`)(pool);

  fastify.get('/t/:tenant/users', { schema: { response: { 200: users } } }, (request) =>
    style.users(request.params.tenant),
  );
  fastify.post('/t/:tenant/notes', { schema: { body: newNote } }, async (request, reply) => {
    await style.note(request.params.tenant, request.body.text);
    return reply.code(201).send();
  });
  return fastify.listen({ host: '127.0.0.1', port: Number(PORT) });
}

if (cluster.isPrimary) {
  for (let worker = 0; worker < Number(WORKERS); worker++) cluster.fork();
} else {
  serve();
}
