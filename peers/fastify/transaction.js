// A transaction on one client, as the page "Transactions" of node-postgres has it.
'use strict';

const { escapeIdentifier } = require('pg');

module.exports = (pool) => {
  async function inTenant(tenant, work) {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query(`SET LOCAL search_path TO ${escapeIdentifier(tenant)}, public`);
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  }

  return {
    users: (tenant) =>
      inTenant(tenant, async (client) => (await client.query('SELECT id, username FROM users ORDER BY id')).rows),
    note: (tenant, text) => inTenant(tenant, (client) => client.query('INSERT INTO notes (text) VALUES ($1)', [text])),
  };
};
