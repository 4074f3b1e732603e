/**
 * The module's entry: TCP streams over every transport, as streams, as a WebSocket, and as the
 * TCPSocket of older pages.
 *
 * It is loaded beside `encke.js`, and gives clients their method `tcp`.
 *
 * @import { Encke, TcpTarget, TcpOptions, TcpStream } from '../encke.tcp.js'
 */
import { TCP } from './base.js';
import { openStream } from './tcp/session.js';
import { TCPSocket } from './tcp/socket.js';
import { TcpWebSocket, webSocket } from './tcp/websocket.js';

/** @type {any} */ (globalThis)[TCP] = openStream;

/**
 * Opens a TCP stream to a target of the server, by its name or by host and port.
 * @param {Encke} client
 * @param {TcpTarget} target
 * @param {TcpOptions} [options]
 * @returns {TcpStream}
 */
export function tcp(client, target, options) { return client.tcp(target, options); }

export { TcpWebSocket, TCPSocket, webSocket };
