#!/usr/bin/env node
'use strict';
// The programs of examples/backends against the real server: node run.js [words of a test's name...]
// ENCKE_BIN names the server's binary; without it, the debug build is made and used. What Go and Rust are compiled to lies in
// the target directory. A language that the machine lacks is skipped, and named.
const { runTests } = require('../lib/runner');

runTests(__dirname, { limitMs: 120_000 });
