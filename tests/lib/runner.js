'use strict';
// What the runners of the JavaScript tests share: the server's binary, and Node's test runner over a
// folder with one closing line for the gate.
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync, spawnSync } = require('node:child_process');

const ROOT = path.join(__dirname, '..', '..');
const TARGET = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target');

/** The binary that `ENCKE_BIN` names, else a debug build, made now. */
function serverBinary() {
  if (process.env.ENCKE_BIN) return process.env.ENCKE_BIN;
  execFileSync('cargo', ['build', '--quiet'], { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  return path.join(TARGET, 'debug', 'encke');
}

/**
 * Runs a folder's `*.test.mjs`, two files at a time or `atOnce`, and ends the program. The program's arguments
 * are words of the names of the tests to run.
 * @param {string} folder
 * @param {{ limitMs: number, atOnce?: number, flags?: string[], env?: Record<string, string> }} how
 */
function runTests(folder, { limitMs, atOnce = 2, flags = [], env = {} }) {
  const files = fs.readdirSync(folder).filter((name) => name.endsWith('.test.mjs')).map((name) => path.join(folder, name));
  const wanted = process.argv.slice(2).map((word) => `--test-name-pattern=${word}`);
  const args = [...flags, '--test', '--test-reporter=spec', `--test-timeout=${limitMs}`, `--test-concurrency=${atOnce}`, ...wanted, ...files];
  const { status, stdout } = spawnSync(process.execPath, args, {
    env: { ...process.env, NODE_NO_WARNINGS: '1', ENCKE_BIN: serverBinary(), ...env },
    stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 26,
  });
  console.log(stdout);
  const count = (word) => Number(new RegExp(`^. ${word} (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0);
  const failed = count('fail') + count('cancelled');
  console.log(`${count('pass')} passed, ${failed} failed`);
  process.exit(status || failed || !count('pass') ? 1 : 0);
}

module.exports = { TARGET, runTests, serverBinary };
