/** Readers over WebSocket. */

import { AGAIN, got, guarded, take, url } from './got.mjs';
import { record } from './parse.mjs';

/** Each connection says something too: the answers come between the messages. @param {Record<string, string>} more */
const socket = (more) => function again(to) {
  const address = url(to, 'ws', more).replace(/^http/, 'ws');
  const ws = new WebSocket(address, ['other', 'encke.v1']);
  ws.binaryType = 'arraybuffer';
  ws.onopen = () => {
    if (ws.protocol !== 'encke.v1') got.wrong.push(`subprotocol ${JSON.stringify(ws.protocol)}`);
    ws.send('{"ping":"☄"}');
  };
  ws.onmessage = guarded(({ data }) => {
    if (typeof data === 'string') return take(JSON.parse(data));
    const { envelope, payload } = record(new Uint8Array(data));
    return take(envelope, payload);
  });
  ws.onclose = () => { got.broken += 1; setTimeout(again, AGAIN, to); };
};

export const readers = { ws: socket({}), 'ws-binary': socket({ binary: '1' }) };
