#!/usr/bin/env node
'use strict';
// Tests of the client library in this Node, against the real server: node run.js [words of a test's name...]
// ENCKE_BIN names the server's binary; without it, the debug build is made and used.
const { runTests } = require('../lib/runner');

// Older Nodes have these behind flags; the newest have them, and no flags.
const FLAGS = [['WebSocket', '--experimental-websocket'], ['EventSource', '--experimental-eventsource']];

runTests(__dirname, { limitMs: 120_000, flags: FLAGS.filter(([name]) => !(name in globalThis)).map(([, flag]) => flag) });
