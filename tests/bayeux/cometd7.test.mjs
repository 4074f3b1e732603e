// CometD 7 in Node.
import { cometd7, version } from './libraries.mjs';
import { acknowledging, suite } from './suite.mjs';

const NAME = `cometd ${version('cometd')}`;
const TYPES = ['long-polling', 'websocket'];
const make = cometd7();
suite(NAME, TYPES, make);
acknowledging(NAME, TYPES, make);
