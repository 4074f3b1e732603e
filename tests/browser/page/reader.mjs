/**
 * Readers of the native protocol, one for each way that it reaches a page, written from its description and sharing nothing
 * with the client library.
 *
 * `read(kind, to)` starts one; `got` holds what it saw.
 */

import { got } from './got.mjs';
import { readers as elements } from './elements.mjs';
import { readers as http } from './http.mjs';
import { readers as socket } from './socket.mjs';

const READERS = { ...http, ...elements, ...socket };

window.got = got;
window.read = (kind, to) => void READERS[kind](to);
