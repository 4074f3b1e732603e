'use strict';
// The start page on the real server: chat, cuts, a killed server, a draining one.
const assert = require('node:assert/strict');
const { EnckeNode } = require('./lib/node');

/** Console lines that a browser writes by itself when a server goes away, in the words of the three engines. */
const NETWORK_NOISE = new RegExp(['net::ERR_', 'Failed to load resource', 'establish a connection', 'was interrupted while the page',
  'NetworkError', 'network connection was lost', 'Could not connect', 'Load failed', 'Connection (refused|terminated|reset)',
  'EventSource', 'Fetch API cannot load', 'Socket', 'server responded with a status of 503'].join('|'), 'i');

const word = (page, user, wanted, limit = 20000) => page.waitFor(
  (id, text) => document.querySelector(`#${id} .word`)?.textContent.startsWith(text), { timeout: limit, args: [user, wanted] });

const both = (page, wanted, limit) => Promise.all(['alice', 'bob'].map((user) => word(page, user, wanted, limit)));

const sees = (page, user, text) => page.waitFor(
  (id, wanted) => [...document.querySelectorAll(`#${id} .messages .text`)].some((e) => e.textContent === wanted),
  { args: [user, text] });

const texts = (page, user) => page.evaluate(
  (id) => [...document.querySelectorAll(`#${id} .messages .text`)].map((e) => e.textContent), user);

const fact = (page, user, name) => page.evaluate(
  (id, key) => document.querySelector(`#${id} [data-fact="${key}"]`).textContent, user, name);

const press = (page, user, button) => page.evaluate(
  (id, name) => document.querySelector(`#${id} .${name}`).click(), user, button);

const say = (page, user, text) => page.evaluate((id, line) => {
  document.querySelector(`#${id} input`).value = line;
  document.querySelector(`#${id} form`).requestSubmit();
}, user, text);

/** Keeps every state a pane goes through, with its detail: a poll from outside could miss a short one. */
const watchStates = (page) => page.evaluate(() => {
  window.states = [];
  for (const pane of document.querySelectorAll('.pane')) {
    new MutationObserver(() => {
      const at = (name) => pane.querySelector(`.${name}`).textContent;
      window.states.push(`${pane.id}: ${at('word')}: ${at('detail')}`);
    }).observe(pane.querySelector('header'), { subtree: true, childList: true, characterData: true });
  }
});

const passed = (page, pattern) => page.waitFor(
  (source) => window.states.find((state) => new RegExp(source).test(state)), { timeout: 20000, args: [pattern] });

async function chats(page, node) {
  await both(page, 'Connected');
  assert.equal(await page.evaluate('document.readyState'), 'complete');
  await say(page, 'alice', 'hello <b>Bob</b> ☄');
  await Promise.all(['alice', 'bob'].map((user) => sees(page, user, 'hello <b>Bob</b> ☄')));
  assert.equal(await page.evaluate(() => document.querySelectorAll('.messages b').length), 0, 'text became markup');
  await node.call('/u/alice/publish', { text: 'for Alice alone' });
  await sees(page, 'alice', 'for Alice alone');
  // What follows in the room comes after: had Bob been given the other, it would be there by then.
  await node.call('/publish', { channel: '/chat/room1', data: { text: 'to the room' } });
  await sees(page, 'bob', 'to the room');
  assert.ok(!(await texts(page, 'bob')).includes('for Alice alone'), 'Bob saw what was meant for Alice');
  assert.notEqual(await fact(page, 'alice', 'echo'), '');
}

/** Runs a command that the page offers, as curl would: `-d` sends a form's content type. */
async function runCommand(page, node, id) {
  const command = await page.evaluate((of) => document.getElementById(of).textContent, id);
  const [, body, url] = /^curl -d '(.*)' (http:\S+)$/.exec(command);
  assert.equal(new URL(url).port, '8081', 'the default port of the private listener');
  await node.post(new URL(url).pathname, body, 'application/x-www-form-urlencoded');
  return JSON.parse(body).data?.text ?? JSON.parse(body).text;
}

async function offersCommandsThatWork(page, node) {
  const listen = await page.evaluate(() => document.getElementById('curl-sse').textContent);
  assert.equal(listen, `curl -N 'http://${node.public}/u/alice/sse?channels=/chat/room1'`);
  await sees(page, 'alice', await runCommand(page, node, 'curl-user'));
  const toAll = await runCommand(page, node, 'curl-room');
  await Promise.all(['alice', 'bob'].map((user) => sees(page, user, toAll)));
}

async function cutsAndResumes(page) {
  const session = await fact(page, 'bob', 'session');
  await press(page, 'bob', 'cut');
  await word(page, 'bob', 'Cut');
  await say(page, 'alice', 'are you there?');
  await sees(page, 'alice', 'are you there?');
  assert.ok(!(await texts(page, 'bob')).includes('are you there?'));
  await press(page, 'bob', 'reconnect');
  await sees(page, 'bob', 'are you there?');
  assert.equal(await fact(page, 'bob', 'session'), session, 'the session was not taken up again');
  assert.equal((await texts(page, 'bob')).filter((text) => text === 'are you there?').length, 1);
  assert.equal(await fact(page, 'bob', 'gaps'), '0', 'a gap after a short cut');
}

async function survivesAKill(page, node) {
  const session = await fact(page, 'alice', 'session');
  await node.kill();
  await passed(page, 'alice: (Retrying|Server unreachable): .*Attempt [0-9]+ in');
  await node.start();
  await both(page, 'Connected');
  const gaps = Number(await fact(page, 'alice', 'gaps'));
  assert.ok(gaps > 0 || (await fact(page, 'alice', 'session')) !== session, 'neither a gap nor a new session after a restart');
  await say(page, 'bob', 'back again');
  await Promise.all(['alice', 'bob'].map((user) => sees(page, user, 'back again')));
}

async function followsADrain(page, node) {
  const ended = node.term();
  await passed(page, 'alice: Closed by the server: .*reconnect after');
  assert.equal(await ended, 0, 'exit code after a drain');
  await passed(page, 'bob: (Retrying|Server unreachable)');
  await node.start();
  await both(page, 'Connected');
  await say(page, 'alice', 'after the drain');
  await sees(page, 'bob', 'after the drain');
}

async function startPage(browser, binary) {
  const node = await new EnckeNode(binary, { ENCKE_DRAIN: '3s' }).start();
  try {
    const page = await browser.newPage();
    await page.goto(`http://${node.public}/`);
    await chats(page, node);
    await offersCommandsThatWork(page, node);
    await cutsAndResumes(page);
    await watchStates(page);
    await survivesAKill(page, node);
    await followsADrain(page, node);
    for (const user of ['alice', 'bob']) assert.equal(await fact(page, user, 'faults'), '0', `${user}: twice or out of order`);
    assert.deepEqual(page.errors().filter((text) => !NETWORK_NOISE.test(text)), [], 'console errors');
    await page.close();
  } catch (error) {
    error.message += `\nthe server's last words:\n${node.log.slice(-2000)}`;
    throw error;
  } finally {
    await node.end();
  }
}

module.exports = { startPage };
