// Servers that know nothing of Encke, for TCP streams, and a node that may reach them.
import net from 'node:net';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { withNode } from './rig.mjs';
import '../../client/src/tcp.js';

/**
 * A server on loopback. `socket()` resolves to its next connection.
 * @param {(socket: net.Socket) => void} [serve]
 */
export async function backend(serve = () => {}) {
  const waiting = [];
  const come = [];
  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
    const next = waiting.shift();
    if (next) next(socket);
    else come.push(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  return {
    port,
    address: `127.0.0.1:${port}`,
    socket: () => (come.length ? Promise.resolve(come.shift()) : new Promise((ok) => waiting.push(ok))),
    close: () => new Promise((ok) => {
      server.close(ok);
      for (const socket of sockets) socket.destroy();
    }),
  };
}

/** A backend that sends everything back, its end included. */
export const echo = () => backend((socket) => socket.pipe(socket));

/** A port at which nobody listens. */
export async function closedPort() {
  const { port, close } = await backend();
  await close();
  return port;
}

/** Runs a test with a node that has `target` for the target `there`. */
export async function withTarget(target, env, work) {
  try {
    await withNode({ ENCKE_TCP_TARGETS: `there=${target.address}`, ENCKE_POLL_MAX: '500ms', ...env }, work);
  } finally {
    await target.close();
  }
}

export const noise = (bytes) => new Uint8Array(randomBytes(bytes));
export const hash = (...parts) => parts.reduce((sum, part) => sum.update(part), createHash('sha256')).digest('hex');

/** Reads a stream until so many bytes are there, or to its end. */
export async function read(readable, count = Infinity) {
  const reader = readable.getReader();
  const parts = [];
  let size = 0;
  while (size < count) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
  }
  reader.releaseLock();
  return Buffer.concat(parts);
}

/** Writes in pieces of odd sizes, and ends the direction. */
export async function write(writable, bytes) {
  const writer = writable.getWriter();
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7) % 30_011 + 1) await writer.write(bytes.subarray(at, at + size));
  await writer.close();
}

/** The bytes that a socket gets, to its end. Its other direction stays. */
export function drained(socket) {
  const parts = [];
  socket.on('data', (part) => parts.push(part));
  return new Promise((done, fail) => {
    socket.on('end', () => done(Buffer.concat(parts)));
    socket.on('error', fail);
    socket.on('close', () => fail(new Error('closed before its end')));
    socket.resume();
  });
}
