#!/usr/bin/env node
'use strict';
// Bayeux clients in use against the real server: node run.js [words of a test's name...]
// ENCKE_BIN names the server's binary; without it, the debug build is made and used. What is missing is installed first: the
// clients of npm and the browsers' drivers (package-lock.json, without install scripts), and those of PyPI (requirements.txt, by
// their hashes) into the target directory; --install does no more. The browsers and Ruby's faye are scripts/test's to install;
// ENGINES="chromium" picks some.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { installPackages } = require('../../scripts/lib/packages');
const { TARGET, runTests } = require('../lib/runner');

if (process.argv.includes('--help')) {
  console.log('usage: node tests/bayeux/run.js [--install] [words of a test\'s name...]');
  process.exit(0);
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

installPackages(__dirname);
installPackages(path.join(__dirname, '..', 'browser', 'driver'));
const env = { BAYEUX_PYTHON: pythonClients() };
if (!process.argv.includes('--install')) runTests(__dirname, { limitMs: 150_000, flags: ['--test-force-exit'], env });
