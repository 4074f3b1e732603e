'use strict';
// What the browser runners share: time limits, and the count of the tests.
const LIMIT = 120000;

function within(ms, work) {
  let timer;
  const limit = new Promise((_, no) => { timer = setTimeout(() => no(new Error(`took more than ${ms} ms`)), ms); });
  return Promise.race([work, limit]).finally(() => clearTimeout(timer));
}

/**
 * The results of the tests, printed as they arrive. A test that fails is run once more, since browsers and their drivers lose
 * commands; one that passes only then is named as such, so that it is not taken for sound.
 */
class Tally {
  constructor() { this.passed = 0; this.failed = 0; }

  async run(name, test) {
    const passes = await this.try(name, test, 'UNSTEADY') || await this.try(name, test, 'FAILED');
    if (passes) this.passed += 1; else this.failed += 1;
    return passes;
  }

  async try(name, test, word) {
    const began = Date.now();
    const error = await within(LIMIT, test()).then(() => undefined, (e) => e);
    const line = `${error ? word : 'ok'} ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`;
    console.log(error ? `${line}\n${error.stack ?? error}` : line);
    return !error;
  }

  /** Ends the program. */
  close() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    process.exit(this.failed || !this.passed ? 1 : 0);
  }
}

module.exports = { Tally };
