// npm's @xmpp/client over a stream of bytes through Encke.
import { Duplex } from 'node:stream';
import { client } from '@xmpp/client';
import { Stream } from './rig.mjs';

export const DOMAIN = 'localhost';

/** What the client takes for a socket of TCP: a stream through Encke to one address. */
const socketTo = (address, options) => class extends Duplex {
  secure = false;

  connect() {
    this.stream = new Stream(address, ['binary'], options);
    this.stream.ws.on('open', () => this.emit('connect'));
    this.stream.ws.on('message', (data) => this.push(data));
    this.stream.ws.on('error', (error) => this.destroy(error));
    this.stream.closed.then(() => { this.push(null); this.destroy(); });
  }

  _read() {}

  _write(bytes, encoding, done) {
    this.stream.send(bytes);
    done();
  }

  _final(done) { this.stream.ws.close(); done(); }
};

/** A client whose connection is a stream. */
export function overStream(address, username, password, options) {
  const made = client({ service: `xmpp://${DOMAIN}`, domain: DOMAIN, username, password });
  // Of its transports, that of TCP.
  const Tcp = made.transports.find((Transport) => new Transport({}).socketParameters('xmpp://localhost'));
  made.transports = [class extends Tcp {}];
  made.transports[0].prototype.Socket = socketTo(address, options);
  made.reconnect.stop();
  made.on('error', () => {});
  return made;
}
