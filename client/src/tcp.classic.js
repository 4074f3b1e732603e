/** The classic script's entry: adds what the module exports to the global `Encke`. */
import { tcp, TCPSocket, TcpWebSocket, webSocket } from './tcp.js';

const scope = /** @type {any} */ (globalThis);
scope.Encke = Object.assign(scope.Encke ?? {}, { tcp, TCPSocket, TcpWebSocket, webSocket });
