#!/usr/bin/env node
'use strict';
// SockJS by hand and by its clients, against the real server: node run.js [words of a test's name...]
// ENCKE_BIN names the server's binary; without it, the debug build is made and used. SOCKJS_URL names another server with the
// test services instead, such as http://127.0.0.1:8081; its heartbeats after 25 s and disconnect delay of 5 s are waited for
// in full. ENGINES="chromium" picks some browsers, ENGINES="" none; they are scripts/test's to install. With --reference, sockjs-node is that server: what it does otherwise is in reference/differences.mjs, with the
// reasons, and everything else must hold for it too. What is missing is installed first (package-lock.json, without
// install scripts); what is done by hand needs none of it.
const path = require('node:path');
const { installPackages } = require('../../scripts/lib/packages');
const { runTests } = require('../lib/runner');

if (process.argv.includes('--help')) {
  console.log('usage: node tests/sockjs/run.js [--reference] [words of a test\'s name...]');
  process.exit(0);
}

const env = {};
const reference = process.argv.indexOf('--reference');
if (reference > 0) {
  process.argv.splice(reference, 1);
  env.SOCKJS_REFERENCE = '1';
}
// Another server is there already.
if (process.env.SOCKJS_URL || env.SOCKJS_REFERENCE) process.env.ENCKE_BIN ??= process.execPath;

installPackages(__dirname);
installPackages(path.join(__dirname, '..', 'browser', 'driver'));
installPackages(path.join(__dirname, '..', '..', 'client'));
runTests(__dirname, { limitMs: 900_000, flags: ['--test-force-exit'], env });
