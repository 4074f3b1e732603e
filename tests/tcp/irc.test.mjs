// ngIRCd: a user of a page and one with a plain client in one channel.
import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';
import { Plain, Stream, freePort, inPlace, startEncke } from './rig.mjs';
import { startNgircd, WEBIRC_PASSWORD } from './ngircd.mjs';

/** Speaks IRC as far as a name and a channel. */
async function join(client, name) {
  client.send(`NICK ${name}\r\nUSER ${name} 0 * :${name} of the tests\r\n`);
  await client.match(/ 001 /, 'a welcome');
  client.send('JOIN #comet\r\n');
  await client.match(/ 366 /, 'the names of the channel');
}

test('ngIRCd: a page and a plain client talk in one channel', inPlace(async (place) => {
  const port = await freePort();
  await startNgircd(place, port);
  const node = await startEncke(place, { irc: `127.0.0.1:${port};webirc` }, { ENCKE_TCP_WEBIRC_PASSWORD: WEBIRC_PASSWORD });
  const page = await Stream.to(node, 'irc');
  const plain = new Plain(port);
  await join(page, 'ada');
  await join(plain, 'ben');
  await page.match(/:ben!\S+ JOIN :?#comet/);
  page.send('PRIVMSG #comet :from the page: \u{1F600}\r\n');
  await plain.match(/:ada!\S+ PRIVMSG #comet :from the page: \xf0\x9f\x98\x80\r\n/);
  plain.send('PRIVMSG #comet :to the page\r\n');
  await page.match(/:ben!\S+ PRIVMSG #comet :to the page\r\n/);
  page.send('QUIT :bye\r\n');
  await plain.match(/:ada!\S+ QUIT /);
  assert.deepEqual(await page.closed, { code: 1000, reason: '' });
  plain.close();
}));

test('ngIRCd: it is told the address of the page\'s user', inPlace(async (place) => {
  const port = await freePort();
  await startNgircd(place, port);
  const node = await startEncke(place, { irc: `127.0.0.1:${port};webirc` }, {
    ENCKE_TCP_WEBIRC_PASSWORD: WEBIRC_PASSWORD, ENCKE_PROXY_PROTOCOL: '127.0.0.1',
  });
  // As a balancer in front of Encke would: the user is elsewhere.
  const createConnection = ({ host, port: to }) => {
    const socket = net.connect(to, host);
    socket.write(`PROXY TCP4 203.0.113.7 192.0.2.1 51234 ${to}\r\n`);
    return socket;
  };
  const page = await Stream.to(node, 'irc', { options: { createConnection } });
  await join(page, 'ada');
  page.send('WHOIS ada\r\n');
  await page.match(/ 311 ada ada \S+ 203\.0\.113\.7 /, 'the user\'s address');
  await page.close();
}));
