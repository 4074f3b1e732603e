// The demo /demo/irc in each browser, with ngIRCd and a plain client in the same channel.
import assert from 'node:assert/strict';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { createRequire } from 'node:module';
import { startNgircd } from './ngircd.mjs';
import { LIMIT, Plain, freePort, inPlace, startEncke } from './rig.mjs';

const { openBrowser, ENGINES } = createRequire(import.meta.url)('../browser/driver');
const CHOSEN = process.env.ENGINES?.split(' ').filter(Boolean) ?? ENGINES;
const LONG = { timeout: LIMIT };

/** Waits until one of these elements says just this, where it can be seen. */
const says = (page, selector, words) => page.waitFor(
  (one, wanted) => [...document.querySelectorAll(one)].some((element) => element.checkVisibility() && element.textContent === wanted),
  { ...LONG, args: [selector, words] },
).catch(async (error) => {
  const there = await page.evaluate((one) => [...document.querySelectorAll(one)].map(({ textContent }) => textContent), selector);
  throw new Error(`${selector} does not say ${words}, but ${JSON.stringify(there)}`, { cause: error });
});

/** Writes and sends as a user does. */
const write = (page, words) => page.evaluate((value) => {
  document.querySelector('#message').value = value;
  document.querySelector('#composer').requestSubmit();
}, words);

const press = (page, selector) => page.evaluate((one) => document.querySelector(one).click(), selector);

/** A user of plain TCP who is in the page's channel. */
async function join(port, name) {
  const plain = new Plain(port);
  plain.send(`NICK ${name}\r\nUSER ${name} 0 * :${name}\r\n`);
  await plain.match(/ 001 /);
  plain.send('JOIN #encke\r\n');
  await plain.match(/ 366 /);
  return plain;
}

async function talk(page, port) {
  await page.waitFor(() => document.querySelector('dialog[open]') !== null, LONG);
  await page.evaluate(() => {
    // Too long for this server, and with a letter that names cannot have.
    document.querySelector('#your-name').value = 'Zoë Lovelace';
    document.querySelector('dialog form').requestSubmit();
  });
  await says(page, '#place', '#encke');
  const nick = await page.evaluate(() => document.querySelector('#link').textContent.replace('Connected as ', ''));
  assert.match(nick, /^Zoe_Lo\d+$/);
  const ben = await join(port, 'ben');
  await says(page, '#count', '2 people here');
  await says(page, '.event', 'ben joined');
  ben.send('PRIVMSG #encke :<b>hello</b> \x02bold\x02 \x0304,01red\x03 \xc3\xa4\r\n');
  ben.socket.write(Buffer.from('PRIVMSG #encke :of before: \xe4\r\nPRIVMSG #encke :\x01ACTION waves\x01\r\n', 'latin1'));
  await says(page, '.text', 'of before: ä');
  await says(page, '.event.action', 'ben waves');
  assert.equal(await page.evaluate(() => document.querySelectorAll('.text b').length), 0, 'text became markup');
  await write(page, `hello ben \u{1F600}\n${'long '.repeat(150)}`);
  await says(page, '.text', 'hello ben \u{1F600}');
  await ben.match(new RegExp(`:${nick}!\\S+ PRIVMSG #encke :hello ben \xf0\x9f\x98\x80\r\n`));
  const long = await ben.match(/PRIVMSG #encke :(long ?)+\r\n.*PRIVMSG #encke :(long ?)+\s*\r\n/, 'a long line in two parts');
  assert.equal(long[0].match(/long/g).length, 150);
  await write(page, '/topic A topic');
  await says(page, '#topic', 'A topic');
  ben.send(`PRIVMSG ${nick} :psst\r\n`);
  await says(page, '#places button', 'ben 1 unread');
  await press(page, '#places [data-place="ben"]');
  await says(page, '.text', 'psst');
  await write(page, 'yes?');
  await ben.match(new RegExp(`:${nick}!\\S+ PRIVMSG ben :yes\\?\r\n`));
  await write(page, '/nonsense');
  await says(page, '.event.gap', 'There is no command /nonsense');
  await write(page, '/join other');
  await says(page, '#place', '#other');
  await press(page, '#leave');
  await ben.match(/PRIVMSG ben/);
  await press(page, '#places [data-place="#encke"]');
  ben.close();
  await says(page, '#count', 'One person here');
}

for (const engine of CHOSEN) {
  test(`the IRC demo in ${engine}`, inPlace(async (place, context) => {
    const port = await freePort();
    const server = await startNgircd(place, port);
    const node = await startEncke(place, { irc: `127.0.0.1:${port}` });
    const browser = await openBrowser(engine);
    try {
      const page = await browser.newPage();
      await page.goto(`http://${node.public}/demo/irc`);
      await talk(page, port);
      await page.screenshot(path.join(process.env.PICTURES ?? os.tmpdir(), `encke-irc-${engine}.png`));
      // Without its server it says so, and comes back by itself.
      server.kill('SIGKILL');
      await page.waitFor(() => /It is tried again\.$/.test(document.querySelector('#link').textContent), LONG);
      await page.waitFor(() => /accepts no connection/.test(document.querySelector('#logs').textContent), LONG);
      await startNgircd(place, port);
      await says(page, '#count', 'One person here');
      const ben = await join(port, 'ben');
      ben.send('PRIVMSG #encke :again\r\n');
      await says(page, '.text', 'again');
      await write(page, '/quit until then');
      await ben.match(/QUIT :"?until then/);
      await says(page, '#link', 'The IRC server ended the connection.');
      ben.close();
      assert.deepEqual(page.errors(), [], 'console errors');
    } catch (error) {
      context.diagnostic(node.log.slice(-2000));
      throw error;
    } finally {
      await browser.close();
    }
  }));
}
