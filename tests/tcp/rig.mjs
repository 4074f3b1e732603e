// What the tests share: real servers in a folder of their own, Encke in front of them, and streams
// of bytes through it.
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { WebSocket } from 'ws';

const require = createRequire(import.meta.url);
const { EnckeNode } = require('../browser/lib/node.js');

/** How long anything is waited for, in milliseconds. */
export const LIMIT = 120_000;

/** Bytes in one message of a WebSocket. */
const PART_BYTES = 64 << 10;

/** Where Debian has programs that are not on everybody's path. */
const FOLDERS = [...process.env.PATH.split(':'), '/usr/sbin', '/sbin'];

/** Several of the servers refuse to run as root. */
const NOBODY = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};

/** Fails after the limit, naming what was waited for. */
export async function within(promise, what, limit = LIMIT) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${limit / 1000} s passed without ${typeof what === 'function' ? what() : what}`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The path of a program of a Debian package. */
export function program(name, inPackage = name) {
  const found = FOLDERS.map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file));
  if (!found) throw new Error(`${name} is missing: install Debian's package ${inPackage}`);
  return found;
}

/** A port that was free just now. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** What a program wrote, as text that can be waited for. */
class Output {
  constructor() {
    this.text = '';
    this.waiting = new Set();
  }

  add(text) {
    this.text += text;
    for (const check of this.waiting) check();
  }

  /** Nothing more comes. */
  end(why) {
    this.ended = why;
    for (const check of this.waiting) check();
  }

  /** Resolves to what `find` answers, once it is truthy. Fails at the end of the output. */
  until(find, what) {
    let check;
    const described = () => `${what}; there is:\n${this.text.slice(-3000)}`;
    const found = new Promise((done, fail) => {
      check = () => {
        const value = find();
        if (value) done(value);
        else if (this.ended) fail(new Error(`it ended (${this.ended}) without ${described()}`));
      };
      this.waiting.add(check);
      check();
    });
    return within(found, described).finally(() => this.waiting.delete(check));
  }

  /** Resolves to the match once the pattern matches. */
  match(pattern, what = String(pattern)) { return this.until(() => pattern.exec(this.text), what); }
}

/** A folder for a test's files and servers; `end` kills and removes them all. */
export class Place {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'encke-tcp-'));
    this.own(this.folder);
    this.children = [];
    this.ends = [];
  }

  own(file) {
    if (NOBODY.uid !== undefined) fs.chownSync(file, NOBODY.uid, NOBODY.gid);
    return file;
  }

  path(name) { return path.join(this.folder, name); }

  /** Writes a file that the servers may read and nobody else. */
  write(name, text) {
    fs.writeFileSync(this.path(name), text, { mode: 0o600 });
    return this.own(this.path(name));
  }

  mkdir(name) {
    fs.mkdirSync(this.path(name), { mode: 0o700 });
    return this.own(this.path(name));
  }

  /** Starts a program. `output` has what it writes. Nothing of the caller's settings reaches it. */
  spawn(command, args, env = {}) {
    const child = spawn(command, args, {
      cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'], ...NOBODY,
      env: { PATH: FOLDERS.join(':'), HOME: this.folder, TMPDIR: this.folder, LC_ALL: 'C.UTF-8', ...env },
    });
    child.output = new Output();
    child.gone = new Promise((done, fail) => {
      child.on('error', fail);
      child.on('exit', (code, signal) => done(code ?? signal));
    });
    child.gone.then((code) => child.output.end(code), (error) => child.output.end(error.message));
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => child.output.add(text));
    this.children.push(child);
    return child;
  }

  /** Starts a server and waits until it says that it is ready. */
  async serve(command, args, ready, env) {
    const child = this.spawn(command, args, env);
    child.ready = await child.output.match(ready, `${path.basename(command)} being ready`);
    return child;
  }

  /** Runs a program to its end. Answers what it wrote. */
  async run(command, args, env) {
    const child = this.spawn(command, args, env);
    const code = await within(child.gone, () => `the end of ${command}:\n${child.output.text}`);
    if (code !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${code}:\n${child.output.text}`);
    return child.output.text;
  }

  /** Has something ended with the place, the last one first. */
  defer(end) { this.ends.push(end); }

  async end() {
    for (const end of this.ends.reverse()) await end();
    for (const child of this.children.reverse()) {
      if (!child.pid || child.exitCode !== null || child.signalCode !== null) continue;
      // A server that is asked to end takes its children along.
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), 2000);
      await child.gone;
      clearTimeout(killer);
    }
    fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A case: work in a place of its own, which ends with it. */
export const inPlace = (work) => async (context) => {
  const place = new Place();
  try {
    await work(place, context);
  } catch (error) {
    for (const child of place.children) {
      if (child.output.text) context.diagnostic(`${path.basename(child.spawnfile)}: ${child.output.text.slice(-2000)}`);
    }
    throw error;
  } finally {
    await place.end();
  }
};

/** Starts Encke with targets: `{ irc: '127.0.0.1:6667;webirc' }`. */
export async function startEncke(place, targets, env = {}) {
  const list = Object.entries(targets).map(([name, at]) => `${name}=${at}`).join(',');
  const node = await new EnckeNode(process.env.ENCKE_BIN, { ENCKE_TCP_TARGETS: list, ENCKE_SHARDS: '2', ...env }).start();
  place.defer(() => node.end());
  return node;
}

export const addressOf = (node, target, user = 'ada') => `ws://${node.public}/u/${user}/tcp/${target}`;

/** A stream through Encke. What comes is in `bytes`; `closed` resolves to the WebSocket's end. */
export class Stream extends Output {
  constructor(address, protocols = ['binary'], options = {}) {
    super();
    this.parts = [];
    this.length = 0;
    this.ws = new WebSocket(address, protocols, options);
    this.closed = new Promise((done) => {
      this.ws.on('close', (code, reason) => {
        this.end(`${code} ${reason}`);
        done({ code, reason: reason.toString() });
      });
    });
    this.ws.on('message', (data, isBinary) => {
      const bytes = this.ws.protocol === 'base64' ? Buffer.from(data.toString(), 'base64') : data;
      if (isBinary === (this.ws.protocol === 'base64')) this.ws.emit('error', new Error('a message of the wrong kind'));
      this.parts.push(bytes);
      this.length += bytes.length;
      this.add(bytes.toString('latin1'));
    });
    this.ws.on('error', (error) => { this.error = error; });
  }

  /** Opens a stream to a target. */
  static async to(node, target, { user, protocols, options } = {}) {
    const stream = new Stream(addressOf(node, target, user), protocols, options);
    await within(Promise.race([once(stream.ws, 'open'), stream.closed]), 'the WebSocket being open');
    if (stream.error) throw stream.error;
    return stream;
  }

  /** Sends bytes. A message has a bound (`ENCKE_MESSAGE_BYTES`), a stream has none. */
  send(bytes) {
    const data = Buffer.from(bytes);
    for (let at = 0; at < data.length; at += PART_BYTES) {
      const part = data.subarray(at, at + PART_BYTES);
      this.ws.send(this.ws.protocol === 'base64' ? part.toString('base64') : part);
    }
  }

  get bytes() { return Buffer.concat(this.parts); }

  /** Resolves once so many bytes have come. */
  has(count) { return this.until(() => this.length >= count, `${count} bytes`); }

  async close() {
    this.ws.close();
    return within(this.closed, 'the end of the WebSocket');
  }
}

/** A plain TCP client of the same servers, with the same means. */
export class Plain extends Output {
  constructor(port) {
    super();
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.setEncoding('latin1').on('data', (text) => this.add(text));
    this.socket.on('error', (error) => this.add(`(${error.message})`));
  }

  send(text) { this.socket.write(text); }

  close() { this.socket.destroy(); }
}
