'use strict';
// A real program between browser and server: started with one of the configurations in ../middlebox, on a port of its own, with a
// folder of its own that goes when it ends.
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');

const CONFIGS = path.join(__dirname, '..', 'middlebox');
/** How long a program may take until it listens, in milliseconds. */
const START_LIMIT = 10000;

/** The arguments with which each stays in the foreground and reads a given configuration. */
const PROGRAMS = {
  nginx: (file, dir) => ['/usr/sbin/nginx', '-e', 'stderr', '-p', dir, '-c', file],
  haproxy: (file) => ['/usr/sbin/haproxy', '-db', '-q', '-f', file],
  tinyproxy: (file) => ['/usr/bin/tinyproxy', '-d', '-c', file],
  squid: (file) => ['/usr/sbin/squid', '-N', '-f', file],
};

function freePort() {
  return new Promise((ok, no) => {
    const server = net.createServer().on('error', no);
    server.listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => ok(port)); });
  });
}

const listens = (port) => new Promise((ok) => {
  const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); ok(true); });
  socket.on('error', () => ok(false));
});

/** A self-signed certificate for this machine. */
function certificate(dir) {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', path.join(dir, 'key.pem'), '-out', path.join(dir, 'cert.pem')],
  { stdio: 'ignore' });
}

class Middlebox {
  /** @param {string} name of the configuration; its first word is the program's @param {string} server host:port */
  constructor(name, server) {
    this.name = name;
    this.server = server;
    this.output = '';
  }

  async start() {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'middlebox-'));
    const port = await freePort();
    this.address = `127.0.0.1:${port}`;
    const values = { port, server: this.server, dir: this.dir, name: this.name };
    const text = fs.readFileSync(path.join(CONFIGS, `${this.name}.conf`), 'utf8');
    const file = path.join(this.dir, 'conf');
    fs.writeFileSync(file, text.replace(/\{\{(\w+)\}\}/g, (_, key) => values[key]));
    if (text.includes('cert.pem')) certificate(this.dir);
    const [program, ...args] = PROGRAMS[this.name.split('-')[0]](file, this.dir);
    this.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.exited = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8').on('data', (words) => { this.output = (this.output + words).slice(-4000); });
    }
    await this.#ready(port);
    return this;
  }

  async #ready(port) {
    let gone = '';
    this.exited.then(([code]) => { gone = `ended with ${code}`; }, (error) => { gone = String(error); });
    for (const deadline = Date.now() + START_LIMIT; !(await listens(port));) {
      if (gone || Date.now() > deadline) throw new Error(`${this.name} ${gone || 'does not listen'}:\n${this.output}`);
      await new Promise((soon) => { setTimeout(soon, 20); });
    }
  }

  async end() {
    this.child?.kill('SIGKILL');
    await this.exited?.catch(() => {});
    if (this.dir) fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

module.exports = { Middlebox };
