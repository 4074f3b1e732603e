// PostgreSQL at a Unix socket, with npm's pg over the bytes of a WebSocket.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import pg from 'pg';
import { WebSocket, createWebSocketStream } from 'ws';
import { addressOf, inPlace, program, startEncke, within } from './rig.mjs';

/** The folder of the newest version's programs. */
function programs() {
  const base = '/usr/lib/postgresql';
  const versions = fs.existsSync(base) ? fs.readdirSync(base).sort((a, b) => b - a) : [];
  const found = versions.map((version) => path.join(base, version, 'bin')).find((bin) => fs.existsSync(path.join(bin, 'initdb')));
  // Names the package that is missing.
  return found ?? path.dirname(program('initdb', 'postgresql'));
}

async function startPostgres(place) {
  const bin = programs();
  place.write('password', 'of-ada');
  const data = place.path('data');
  await place.run(path.join(bin, 'initdb'), ['--no-sync', '--username=ada', '--auth=scram-sha-256', `--pwfile=${place.path('password')}`, data]);
  const settings = ['listen_addresses=', `unix_socket_directories=${place.folder}`, 'fsync=off'];
  await place.serve(path.join(bin, 'postgres'), ['-D', data, ...settings.flatMap((setting) => ['-c', setting])], /ready to accept connections/);
  return place.path('.s.PGSQL.5432');
}

/** What pg takes for a connection of TCP: it calls `connect` as it would a socket's. */
function connection(address) {
  const ws = new WebSocket(address, ['binary']);
  const duplex = createWebSocketStream(ws);
  ws.on('open', () => duplex.emit('connect'));
  return Object.assign(duplex, { connect() {}, setNoDelay() {}, setKeepAlive() {}, ref() {}, unref() {} });
}

test('PostgreSQL: pg logs in and asks', inPlace(async (place) => {
  const node = await startEncke(place, { sql: `unix:${await startPostgres(place)}` });
  const client = new pg.Client({ user: 'ada', password: 'of-ada', database: 'postgres', stream: () => connection(addressOf(node, 'sql')) });
  await within(client.connect(), 'a login');
  const ask = async (...query) => (await within(client.query(...query), 'an answer')).rows;
  assert.deepEqual(await ask('SELECT 1 AS one'), [{ one: 1 }]);
  const [{ large }] = await ask('SELECT repeat($1, 400000) AS large', ['\u{1F600}ab']);
  assert.equal(large, '\u{1F600}ab'.repeat(400000));
  const numbers = await ask('SELECT n FROM generate_series(1, 20000) AS n');
  assert.deepEqual(numbers.map(({ n }) => n), Array.from({ length: 20000 }, (_, n) => n + 1));
  await within(client.end(), 'the end');
}));

test('PostgreSQL: a wrong password is told as the server tells it', inPlace(async (place) => {
  const node = await startEncke(place, { sql: `unix:${await startPostgres(place)}` });
  const client = new pg.Client({ user: 'ada', password: 'guessed', database: 'postgres', stream: () => connection(addressOf(node, 'sql')) });
  client.on('error', () => {});
  await assert.rejects(within(client.connect(), 'a refusal'), { code: '28P01' });
}));
