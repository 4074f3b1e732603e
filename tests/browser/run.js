#!/usr/bin/env node
'use strict';
// Tests of the real server in real browsers: node run.js [engine...]
// ENCKE_BIN names the server's binary; without it, the debug build is made and used. ONLY=text picks tests by name.
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { openBrowser, ENGINES } = require('./driver');
const { startPage } = require('./start-page');
const { exactAcrossCuts } = require('./streams');
const { foreignPagesAreKeptOut } = require('./origins');

const LIMIT = 120000;
const ROOT = path.join(__dirname, '..', '..');

const TESTS = [
  ['start page: chat, cut, kill, drain', startPage],
  ['origins: a foreign page is kept out', foreignPagesAreKeptOut],
  ...['sse', 'stream', 'longpoll', 'poll'].map((kind) => [
    `${kind}: 1,000 messages across three cuts`, (browser, binary) => exactAcrossCuts(kind, browser, binary)]),
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

async function main() {
  const binary = process.env.ENCKE_BIN ?? builtBinary();
  const engines = process.argv.length > 2 ? process.argv.slice(2) : ENGINES;
  const chosen = TESTS.filter(([name]) => name.includes(process.env.ONLY ?? ''));
  let passed = 0;
  let failed = 0;
  const report = (name, ms, error) => {
    if (error) failed += 1; else passed += 1;
    console.log(`${error ? 'FAILED' : 'ok'} ${name} (${(ms / 1000).toFixed(1)} s)`);
    if (error) console.log(error.stack ?? String(error));
  };
  for (const engine of engines) {
    let browser;
    try {
      browser = await within(LIMIT, openBrowser(engine));
      // Stays open: WebKit ends with its last window.
      await browser.newPage();
    } catch (error) {
      report(`${engine} starts`, 0, error);
      continue;
    }
    for (const [name, test] of chosen) {
      const began = Date.now();
      const error = await within(LIMIT, test(browser, binary)).then(() => undefined, (e) => e);
      report(`${engine} ${name}`, Date.now() - began, error);
    }
    await within(20000, browser.close()).catch((error) => report(`${engine} closes`, 0, error));
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed || !passed ? 1 : 0);
}

main().catch((error) => { console.error(error); process.exit(1); });
