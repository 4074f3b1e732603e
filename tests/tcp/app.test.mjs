// The web app of examples/xmpp: it makes accounts in the database that Prosody uses, its users chat
// through Encke, and it shows the log.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { createRequire } from 'node:module';
import { xml } from '@xmpp/client';
import { LIMIT, addressOf, freePort, inPlace, program, startEncke, within } from './rig.mjs';
import { DOMAIN, overStream } from './xmpp.mjs';

const { openBrowser, ENGINES } = createRequire(import.meta.url)('../browser/driver');
const CHOSEN = process.env.ENGINES?.split(' ').filter(Boolean) ?? ENGINES;
const EXAMPLE = new URL('../../examples/xmpp/', import.meta.url);
const KEY = 'a-key-of-at-least-thirty-two-bytes';
const [ADA, BEN] = [{ name: 'ada', password: 'of-ada <&>' }, { name: 'ben', password: 'of-ben \u{1F511}' }];

/** The example as its README starts it: app, Prosody, Encke. Answers the app's address and Encke. */
async function start(place) {
  const [xmpp, app] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${app}`;
  const node = await startEncke(place, { xmpp: `127.0.0.1:${xmpp}` }, { ENCKE_TOKEN_KEY: KEY, ENCKE_ORIGINS: url });
  // Another user may not be allowed to read them where they are.
  for (const name of fs.readdirSync(EXAMPLE)) place.write(name, fs.readFileSync(new URL(name, EXAMPLE)));
  const env = { APP_DATABASE: place.path('chat.sqlite'), APP_DOMAIN: DOMAIN, ENCKE_URL: `http://${node.public}`, ENCKE_TOKEN_KEY: KEY };
  await place.serve('/usr/bin/python3', ['-B', place.path('app.py'), app], /^http:/m, env);
  const ofProsody = { ...env, PROSODY_DATA: place.mkdir('data'), PROSODY_PORT: String(xmpp) };
  await place.serve(program('prosody'), ['-F', '--config', place.path('prosody.cfg.lua')], /Activated service 'c2s' on/, ofProsody);
  return { url, node };
}

/** Posts JSON; answers the status, the answer and the cookie. */
async function post(url, value) {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) });
  return { status: answer.status, told: await answer.json(), cookie: answer.headers.get('set-cookie')?.split(';')[0] };
}

const get = (url, cookie) => fetch(url, { headers: cookie ? { cookie } : {} });

/** A user who has just made an account: its cookie, and its client of XMPP through Encke. */
async function newcomer(url, node, account) {
  const { status, told, cookie } = await post(`${url}/accounts`, account);
  assert.equal(status, 200, JSON.stringify(told));
  const token = await (await get(`${url}/token`, cookie)).text();
  const options = { headers: { authorization: `Bearer ${token}`, origin: url } };
  const client = overStream(addressOf(node, 'xmpp', account.name), account.name, account.password, options);
  const stanza = (matches, what) => within(new Promise((done) => {
    client.on('stanza', (one) => { if (matches(one)) done(one); });
  }), what);
  return { cookie, token, client, stanza };
}

/** The rows of the page with the log, as texts. */
const rows = (page) => [...page.matchAll(/<td class="from">(.*?)<\/td><td class="to">(.*?)<\/td><td class="body">(.*?)<\/td>/gs)]
  .map(([, ...texts]) => texts);

/** The log of a user, once it has so many rows: Prosody writes a message when it has passed it on. */
async function logOf(url, cookie, count) {
  return within((async () => {
    for (;;) {
      const answer = await get(`${url}/log`, cookie);
      assert.equal(answer.status, 200);
      const found = rows(await answer.text());
      if (found.length >= count) return found;
    }
  })(), `a log of ${count} messages`);
}

test('the web app makes accounts for Prosody, and shows what was said through Encke', inPlace(async (place) => {
  const { url, node } = await start(place);
  const [ada, ben] = [await newcomer(url, node, ADA), await newcomer(url, node, BEN)];
  for (const user of [ada, ben]) {
    const address = (await within(user.client.start(), 'a login')).toString();
    const own = user.stanza((one) => one.is('presence') && one.attrs.from === address, 'its own presence');
    await user.client.send(xml('presence'));
    await own;
  }
  const said = [[ada, 'ben', 'hello'], [ben, 'ada', '<b>\u{1F600}</b> & "more"'], [ada, 'ben', 'bye']];
  for (const [user, to, body] of said) {
    const heard = (user === ada ? ben : ada).stanza((one) => one.getChildText('body') === body, 'a message');
    await user.client.send(xml('message', { to: `${to}@${DOMAIN}`, type: 'chat' }, xml('body', {}, body)));
    await heard;
  }
  const expected = [
    [`ada@${DOMAIN}`, `ben@${DOMAIN}`, 'hello'],
    [`ben@${DOMAIN}`, `ada@${DOMAIN}`, '&lt;b&gt;\u{1F600}&lt;/b&gt; &amp; &quot;more&quot;'],
    [`ada@${DOMAIN}`, `ben@${DOMAIN}`, 'bye'],
  ];
  for (const user of [ada, ben]) assert.deepEqual(await logOf(url, user.cookie, 3), expected);
  for (const user of [ada, ben]) await within(user.client.stop(), 'the end');
  const line = `tcp stream ends user=ada origin=${url} to=xmpp`;
  await within((async () => { while (!node.log.includes(line)) await new Promise(setImmediate); })(), () => `${line} in\n${node.log}`);

  // Each has an account of their own, and a token for it alone.
  assert.equal((await post(`${url}/accounts`, { ...ADA, password: 'another one' })).status, 409);
  assert.equal((await post(`${url}/login`, { ...ADA, password: 'of-ada' })).status, 400);
  assert.equal((await post(`${url}/login`, { ...ADA, password: 'guessed it' })).status, 403);
  assert.equal((await post(`${url}/login`, { name: 'eve', password: 'guessed it' })).status, 403);
  assert.equal((await post(`${url}/login`, ADA)).status, 200);
  assert.equal((await post(`${url}/accounts`, { name: 'Eve@there', password: 'guessed it' })).status, 400);
  assert.equal((await get(`${url}/log`)).status, 401);
  assert.equal((await get(`${url}/log`, ada.cookie.replace('ada', 'ben'))).status, 401);
  const foreign = overStream(addressOf(node, 'xmpp', 'ben'), 'ben', BEN.password, { headers: { authorization: `Bearer ${ada.token}` } });
  await assert.rejects(within(foreign.start(), 'a refusal'));
  // Prosody itself tells a wrong password.
  const guessing = overStream(addressOf(node, 'xmpp', 'ada'), 'ada', 'guessed it', { headers: { authorization: `Bearer ${ada.token}` } });
  await assert.rejects(within(guessing.start(), 'a refusal'), { condition: 'not-authorized' });
  await within(guessing.stop(), 'the end');
}));

const LONG = { timeout: LIMIT };

/** Fills the form and presses a button of it. */
const enter = (page, account, button) => page.evaluate(({ name, password }, label) => {
  document.querySelector('#name').value = name;
  document.querySelector('#password').value = password;
  [...document.querySelectorAll('#entry button')].find((one) => one.textContent === label).click();
}, account, button);

const says = (page, selector, text) => page.waitFor(
  (one, wanted) => [...document.querySelectorAll(one)].some((element) => element.textContent === wanted),
  { ...LONG, args: [selector, text] },
);

const write = (page, to, body) => page.evaluate((whom, what) => {
  document.querySelector('#to').value = whom;
  document.querySelector('#body').value = what;
  document.querySelector('#composer').requestSubmit();
}, to, body);

for (const engine of CHOSEN) {
  test(`the web app's page in ${engine}`, inPlace(async (place, context) => {
    const { url, node } = await start(place);
    const browser = await openBrowser(engine);
    try {
      const ada = await browser.newPage();
      await ada.goto(`${url}/`);
      await enter(ada, ADA, 'Create an account');
      await ada.waitFor(() => /^Here as ada@localhost\//.test(document.querySelector('#status').textContent), LONG);
      const ben = await newcomer(url, node, BEN);
      const address = (await within(ben.client.start(), 'a login')).toString();
      const own = ben.stanza((one) => one.is('presence') && one.attrs.from === address, 'its own presence');
      await ben.client.send(xml('presence'));
      await own;
      const heard = ben.stanza((one) => one.getChildText('body'), 'a message');
      await write(ada, 'ben', 'hello <b>ben</b> \u{1F600}');
      assert.equal((await heard).getChildText('body'), 'hello <b>ben</b> \u{1F600}');
      await ben.client.send(xml('message', { to: `ada@${DOMAIN}`, type: 'chat' }, xml('body', {}, `<i>hi</i> 'ada' > ${'long '.repeat(20_000)}`)));
      await says(ada, '#messages .text', `<i>hi</i> 'ada' > ${'long '.repeat(20_000)}`);
      assert.equal(await ada.evaluate(() => document.querySelectorAll('.text *').length), 0, 'text became markup');
      await ada.goto(`${url}/log`);
      await says(ada, '.body', 'hello <b>ben</b> \u{1F600}');
      assert.deepEqual((await logOf(url, ben.cookie, 2)).map(([from, to]) => [from, to]), [
        [`ada@${DOMAIN}`, `ben@${DOMAIN}`], [`ben@${DOMAIN}`, `ada@${DOMAIN}`],
      ]);
      // A wrong password, and the name of somebody else.
      await ada.goto(`${url}/`);
      await enter(ada, { ...ADA, password: 'guessed it' }, 'Log in');
      await says(ada, '#status', 'the name or the password is wrong');
      await enter(ada, BEN, 'Create an account');
      await says(ada, '#status', 'the name is taken');
      await within(ben.client.stop(), 'the end');
    } catch (error) {
      context.diagnostic(node.log.slice(-2000));
      throw error;
    } finally {
      await browser.close();
    }
  }));
}
