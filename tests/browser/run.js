#!/usr/bin/env node
'use strict';
// Tests of the real server in real browsers: node run.js [engine...]
// ENCKE_BIN names the server's binary; without it, the debug build is made and used. ONLY=text picks tests by name.
const { openBrowser, ENGINES } = require('./driver');
const { startPage } = require('./start-page');
const { streamTests } = require('./streams');
const { foreignPagesAreKeptOut } = require('./origins');
const { silentPagesGetNothing } = require('./silent-pages');
const { decodersAgree } = require('./decoders');
const { curlFollows } = require('./curl');
const { DEMOS } = require('./demos');
const { picturesChange } = require('./pictures');
const { socketsTalk } = require('./sockets');
const { LIBRARY } = require('./library');
const { serverBinary } = require('../lib/runner');
const { Tally } = require('./lib/tally');

/** Tests that need no browser: `run` gets the binary. */
const PLAIN = [
  { name: 'decoders: every split point', run: decodersAgree },
  { name: 'curl -N: every stream, each event at once', run: curlFollows },
];

/** Tests of each engine; `not` names those that cannot take part, and why. */
const TESTS = [
  { name: 'start page: chat, cut, kill, drain', run: startPage },
  { name: 'origins: a foreign page is kept out', run: foreignPagesAreKeptOut },
  { name: 'origins: a page that says nothing, over http', run: silentPagesGetNothing },
  ...DEMOS,
  ...streamTests,
  { name: 'multipart: the picture changes', run: picturesChange },
  { name: 'ws: echo, commands and bytes up', run: socketsTalk },
  ...LIBRARY,
];

async function runEngine(engine, tests, binary, tally) {
  let browser;
  const opened = await tally.run(`${engine} starts`, async () => {
    browser = await openBrowser(engine);
    // Stays open: WebKit ends with its last window.
    await browser.newPage();
  });
  if (!opened) return;
  for (const { name, run, not } of tests) {
    if (not?.[engine]) console.log(`not in ${engine}: ${name}: ${not[engine]}`);
    else await tally.run(`${engine} ${name}`, () => run(browser, binary, engine));
  }
  await tally.run(`${engine} closes`, () => browser.close());
}

async function main() {
  const binary = serverBinary();
  const engines = process.argv.length > 2 ? process.argv.slice(2) : ENGINES;
  const isChosen = ({ name }) => name.includes(process.env.ONLY ?? '');
  const tally = new Tally();
  for (const { name, run } of PLAIN.filter(isChosen)) await tally.run(name, () => run(binary));
  const tests = TESTS.filter(isChosen);
  // Browsers wait more than they work: the engines run beside each other.
  if (tests.length) await Promise.all(engines.map((engine) => runEngine(engine, tests, binary, tally)));
  tally.close();
}

main().catch((error) => { console.error(error); process.exit(1); });
