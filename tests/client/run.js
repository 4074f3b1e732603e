#!/usr/bin/env node
'use strict';
// Tests of the client library in this Node, against the real server: node run.js [words of a test's name...]
// ENCKE_BIN names the server's binary; without it, the debug build is made and used.
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync, spawnSync } = require('node:child_process');

const ROOT = path.join(__dirname, '..', '..');
// Older Nodes have these behind flags; the newest have them, and no flags.
const FLAGS = [['WebSocket', '--experimental-websocket'], ['EventSource', '--experimental-eventsource']];

function builtBinary() {
  execFileSync('cargo', ['build', '--quiet'], { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  return path.join(process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target'), 'debug', 'encke');
}

const files = fs.readdirSync(__dirname).filter((name) => name.endsWith('.test.mjs')).map((name) => path.join(__dirname, name));
const wanted = process.argv.slice(2).map((word) => `--test-name-pattern=${word}`);
const flags = FLAGS.filter(([name]) => !(name in globalThis)).map(([, flag]) => flag);
const env = { ...process.env, ENCKE_BIN: process.env.ENCKE_BIN ?? builtBinary(), NODE_NO_WARNINGS: '1' };
const args = [...flags, '--test', '--test-reporter=spec', '--test-timeout=120000', '--test-concurrency=2', ...wanted, ...files];
const { status, stdout } = spawnSync(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 26 });
console.log(stdout);
const count = (word) => Number(new RegExp(`^. ${word} (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0);
const failed = count('fail') + count('cancelled');
console.log(`${count('pass')} passed, ${failed} failed`);
process.exit(status || failed || !count('pass') ? 1 : 0);
