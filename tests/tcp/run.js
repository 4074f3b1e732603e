#!/usr/bin/env node
'use strict';
// Unaltered servers of Debian behind the real server, and their clients through it:
//   node run.js [words of a test's name...]
// ENCKE_BIN names the server's binary; without it, the debug build is made and used. The clients of
// npm are installed first (package-lock.json, without install scripts). The servers and browsers are
// for scripts/test to install; one that is missing fails its own tests alone. ENGINES="chromium"
// picks some browsers, ENGINES="" none.
const path = require('node:path');
const { installPackages } = require('../../scripts/lib/packages');
const { runTests } = require('../lib/runner');

if (process.argv.includes('--help')) {
  console.log('usage: node tests/tcp/run.js [words of a test\'s name...]');
  process.exit(0);
}

installPackages(__dirname);
installPackages(path.join(__dirname, '..', 'browser', 'driver'));
runTests(__dirname, { limitMs: 180_000, flags: ['--test-force-exit'] });
