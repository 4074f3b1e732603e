// A tab in a thread of its own, which can be frozen: no timer and no event runs in it until it is resumed.
import { parentPort, workerData } from 'node:worker_threads';
import { borrowed } from './locks.mjs';

const { connect } = await import('../../client/src/index.js');
const { url, flag } = workerData;
const encke = connect(url, { share: true, transports: ['stream', 'longpoll'], runtime: { locks: borrowed(parentPort) } });
const tell = () => parentPort.postMessage({ stands: { state: encke.state, leads: encke.leads } });
encke.on('state', tell);
encke.subscribe('/room/1', ({ data }) => parentPort.postMessage({ got: data.n })).then(() => parentPort.postMessage({ subscribed: true }));
parentPort.on('message', (word) => {
  if (word === 'tell') tell();
  if (word !== 'stand still') return;
  parentPort.postMessage({ still: true });
  Atomics.wait(flag, 0, 0);
});
