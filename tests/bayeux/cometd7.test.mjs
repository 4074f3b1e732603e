// CometD 7 in Node.
import test from 'node:test';
import { cometd7, version } from './libraries.mjs';
import { withNode } from './rig.mjs';
import { acknowledging, suite, withheld } from './suite.mjs';

const NAME = `cometd ${version('cometd')}`;
const TYPES = ['long-polling', 'websocket'];
const make = cometd7();
suite(NAME, TYPES, make);
acknowledging(NAME, TYPES, make);

test(`${NAME}, long-polling: a client whose cookies are withheld gets the reason, and stops`,
  () => withNode({}, (node, own) => withheld(node, own, make, 'long-polling')));
