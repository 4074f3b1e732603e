'use strict';
// A TCP proxy that breaks connections on purpose: after so many more bytes have come down, all of them are reset.
const net = require('node:net');

class Cutter {
  /** @param {string} target host:port */
  constructor(target) {
    const at = target.lastIndexOf(':');
    this.target = { host: target.slice(0, at), port: Number(target.slice(at + 1)) };
    this.pairs = new Set();
    this.left = Infinity;
    this.cuts = 0;
    this.server = net.createServer((down) => this.join(down));
  }

  listen() {
    return new Promise((ok) => this.server.listen(0, '127.0.0.1', () => ok(`127.0.0.1:${this.server.address().port}`)));
  }

  join(down) {
    const up = net.connect(this.target);
    const pair = { up, down };
    this.pairs.add(pair);
    const end = () => { this.pairs.delete(pair); up.destroy(); down.destroy(); };
    for (const socket of [up, down]) { socket.setNoDelay(true); socket.on('error', end); socket.on('close', end); }
    down.pipe(up);
    up.on('data', (bytes) => this.pass(down, bytes));
  }

  pass(down, bytes) {
    if (bytes.length < this.left) {
      this.left -= bytes.length;
      down.write(bytes);
      return;
    }
    // What lies before the cut is delivered, so that the cut falls on just this byte.
    down.write(bytes.subarray(0, this.left));
    this.left = Infinity;
    this.cuts += 1;
    for (const pair of this.pairs) { pair.up.destroy(); pair.down.end(() => pair.down.destroy()); }
  }

  /** Arms one cut, `bytes` further down. */
  cutAfter(bytes) { this.left = bytes; }

  close() {
    for (const { up, down } of this.pairs) { up.destroy(); down.destroy(); }
    this.server.close();
  }
}

module.exports = { Cutter };
