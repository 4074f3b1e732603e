'use strict';
// What the runners share: the server's binary, time limits, and what came of the tests.
const path = require('node:path');
const { execFileSync } = require('node:child_process');

const LIMIT = 120000;
const ROOT = path.join(__dirname, '..', '..', '..');

/** The binary that `ENCKE_BIN` names, else a debug build of this moment. */
function serverBinary() {
  if (process.env.ENCKE_BIN) return process.env.ENCKE_BIN;
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

  /** Ends the program. */
  close() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    process.exit(this.failed || !this.passed ? 1 : 0);
  }
}

module.exports = { Tally, serverBinary };
