#!/usr/bin/env node
'use strict';
// Bayeux clients in use against the real server: node run.js [words of a test's name...]
// ENCKE_BIN names the server's binary; without it, the debug build is made and used. What is missing is installed first: the
// clients of npm and the browsers' drivers (package-lock.json, without install scripts), and those of PyPI (requirements.txt, by
// their hashes) into the target directory. The browsers and Ruby's faye are scripts/test's to install; ENGINES="chromium" picks some.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync, spawnSync } = require('node:child_process');

const ROOT = path.join(__dirname, '..', '..');
const TARGET = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target');

if (process.argv.includes('--help')) {
  console.log('usage: node tests/bayeux/run.js [words of a test\'s name...]');
  process.exit(0);
}

function builtBinary() {
  execFileSync('cargo', ['build', '--quiet'], { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  return path.join(TARGET, 'debug', 'encke');
}

/** Installs a folder's packages unless what is there is what the lock file asks for. */
function npmPackages(folder) {
  const packages = (file) => JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8')).packages;
  const wanted = Object.entries(packages('package-lock.json')).filter(([place, { optional }]) => place && !optional);
  const hidden = path.join('node_modules', '.package-lock.json');
  const there = fs.existsSync(path.join(folder, hidden)) ? packages(hidden) : {};
  if (wanted.every(([place, { version }]) => there[place]?.version === version)) return;
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
}

/** Installs the clients of PyPI into an environment of its own, named by what it holds. Answers its Python. */
function pythonClients() {
  const wanted = path.join(__dirname, 'requirements.txt');
  const sum = crypto.createHash('sha256').update(fs.readFileSync(wanted)).digest('hex').slice(0, 12);
  const place = path.join(TARGET, 'bayeux', `python-${sum}`);
  const python = (base) => path.join(base, 'bin', 'python3');
  const mark = path.join(place, '.whole');
  if (!fs.existsSync(mark)) {
    fs.rmSync(place, { recursive: true, force: true });
    const quiet = { stdio: ['ignore', 'inherit', 'inherit'] };
    execFileSync('python3', ['-m', 'venv', place], quiet);
    execFileSync(python(place), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--require-hashes', '--only-binary', ':all:', '-r', wanted], quiet);
    fs.writeFileSync(mark, '');
  }
  return python(place);
}

npmPackages(__dirname);
npmPackages(path.join(__dirname, '..', 'browser', 'driver'));
const env = { ...process.env, NODE_NO_WARNINGS: '1', BAYEUX_PYTHON: pythonClients(), ENCKE_BIN: process.env.ENCKE_BIN ?? builtBinary() };
const files = fs.readdirSync(__dirname).filter((name) => name.endsWith('.test.mjs')).map((name) => path.join(__dirname, name));
const wanted = process.argv.slice(2).map((word) => `--test-name-pattern=${word}`);
const args = ['--test', '--test-reporter=spec', '--test-timeout=150000', '--test-force-exit', '--test-concurrency=2', ...wanted, ...files];
const { status, stdout } = spawnSync(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 26 });
console.log(stdout);
const count = (word) => Number(new RegExp(`^. ${word} (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0);
const failed = count('fail') + count('cancelled');
console.log(`${count('pass')} passed, ${failed} failed`);
process.exit(status || failed || !count('pass') ? 1 : 0);
