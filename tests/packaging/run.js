#!/usr/bin/env node
'use strict';
// The packages, built of a binary that is there already: node run.js [words of a test's name...]
// ENCKE_BIN names the server's debug binary; without it, it is made and used. What the machine lacks is skipped, and named.
const { runTests } = require('../lib/runner');

runTests(__dirname, { limitMs: 120_000 });
