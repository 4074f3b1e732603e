#!/usr/bin/env node
'use strict';
// Tests of the real server in real browsers: node run.js [engine...]
// ENCKE_BIN names the server's binary; without it, the debug build is made and used. ONLY=text picks tests by name.
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { openBrowser, ENGINES } = require('./driver');
const { startPage } = require('./start-page');
const { streamTests } = require('./streams');
const { foreignPagesAreKeptOut } = require('./origins');
const { decodersAgree } = require('./decoders');
const { curlFollows } = require('./curl');
const { DEMOS } = require('./demos');
const { picturesChange } = require('./pictures');
const { socketsTalk } = require('./sockets');
const { LIBRARY } = require('./library');

const LIMIT = 120000;
const ROOT = path.join(__dirname, '..', '..');

/** Tests that need no browser: `run` gets the binary. */
const PLAIN = [
  { name: 'decoders: every split point', run: decodersAgree },
  { name: 'curl -N: every stream, each event at once', run: curlFollows },
];

/** Tests of each engine; `not` names those that cannot take part, and why. */
const TESTS = [
  { name: 'start page: chat, cut, kill, drain', run: startPage },
  { name: 'origins: a foreign page is kept out', run: foreignPagesAreKeptOut },
  ...DEMOS,
  ...streamTests,
  { name: 'multipart: the picture changes', run: picturesChange },
  { name: 'ws: echo, commands and bytes up', run: socketsTalk },
  ...LIBRARY,
];

function builtBinary() {
  execFileSync('cargo', ['build', '--quiet'], { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  return path.join(process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target'), 'debug', 'encke');
}

function within(ms, work) {
  let timer;
  const limit = new Promise((_, no) => { timer = setTimeout(() => no(new Error(`took more than ${ms} ms`)), ms); });
  return Promise.race([work, limit]).finally(() => clearTimeout(timer));
}

/** What came of the tests, told as it comes. */
class Tally {
  constructor() { this.passed = 0; this.failed = 0; }

  async run(name, test) {
    const began = Date.now();
    const error = await within(LIMIT, test()).then(() => undefined, (e) => e);
    if (error) this.failed += 1; else this.passed += 1;
    console.log(`${error ? 'FAILED' : 'ok'} ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    if (error) console.log(error.stack ?? String(error));
    return !error;
  }
}

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
    else await tally.run(`${engine} ${name}`, () => run(browser, binary));
  }
  await tally.run(`${engine} closes`, () => browser.close());
}

async function main() {
  const binary = process.env.ENCKE_BIN ?? builtBinary();
  const engines = process.argv.length > 2 ? process.argv.slice(2) : ENGINES;
  const isChosen = ({ name }) => name.includes(process.env.ONLY ?? '');
  const tally = new Tally();
  for (const { name, run } of PLAIN.filter(isChosen)) await tally.run(name, () => run(binary));
  const tests = TESTS.filter(isChosen);
  if (tests.length) for (const engine of engines) await runEngine(engine, tests, binary, tally);
  console.log(`${tally.passed} passed, ${tally.failed} failed`);
  process.exit(tally.failed || !tally.passed ? 1 : 0);
}

main().catch((error) => { console.error(error); process.exit(1); });
