// Faye in Node: long polls, and WebSocket after a handshake by a poll.
import { faye, version } from './libraries.mjs';
import { suite } from './suite.mjs';

suite(`faye ${version('faye')}`, ['long-polling', 'websocket'], faye());
