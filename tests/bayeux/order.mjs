// A proxy that says in which order a socket's beginning and a handshake by request cross the network: a Faye client begins both at
// once, so that neither can bring the cookie that the other's answer sets.
import net from 'node:net';

/** What is held back, and until when. */
export const ORDERS = {
  /** The handshake's answer is there before the socket is open: its cookie is the older one. */
  'its answer comes after that of the handshake': { answer: (seen) => seen.handshaken },
  /** The socket is open first, but the handshake had gone by then. */
  'its answer comes before that of the handshake': { answer: (seen) => seen.asked, handshake: (seen) => seen.open },
  /** The socket comes to the server when the session is there: the handshake had a connection already, the socket had not. */
  'it begins after the handshake was answered': { socket: (seen) => seen.handshaken },
};

/**
 * Resolves to its address. `own` ends it.
 * @param {{answer?: Function, handshake?: Function, socket?: Function}} order  until when a socket's first answer, the first answer to a
 *   request, and a socket's request are held back
 */
export async function ordering(node, own, order) {
  const seen = { asked: false, handshaken: false, open: false };
  const held = new Set();
  const note = (what) => {
    seen[what] = true;
    for (const look of [...held]) look();
  };
  const when = (claim, work) => {
    const look = () => {
      if (claim && !claim(seen)) return;
      held.delete(look);
      work();
    };
    held.add(look);
    look();
  };
  const ends = new Set();
  const server = net.createServer((down) => {
    const up = net.connect(Number(node.public.split(':')[1]), '127.0.0.1').setNoDelay(true);
    down.setNoDelay(true);
    for (const end of [up, down]) {
      ends.add(end);
      end.on('error', () => {}).on('close', () => { up.destroy(); down.destroy(); ends.delete(end); });
    }
    down.once('data', (first) => {
      // Until it is piped, nothing more is read.
      down.pause();
      const isSocket = /^GET /.test(first.toString('latin1', 0, 4));
      if (!isSocket) note('asked');
      when(isSocket ? order.socket : undefined, () => { up.write(first); down.pipe(up); });
      up.once('data', (answer) => {
        up.pause();
        when(isSocket ? order.answer : order.handshake, () => {
          down.write(answer, () => note(isSocket ? 'open' : 'handshaken'));
          up.pipe(down);
        });
      });
    });
  });
  await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
  own({ close() { server.close(); for (const end of ends) end.destroy(); } });
  return `127.0.0.1:${server.address().port}`;
}
