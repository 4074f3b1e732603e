/** The classic script adds what the module exports to the global `Encke` of `encke.classic.js`. */
import type * as tcpModule from './encke.tcp.js';
import './encke.classic.js';

declare module './encke.js' {
  const tcp: typeof tcpModule.tcp;
  const webSocket: typeof tcpModule.webSocket;
  const TcpWebSocket: typeof tcpModule.TcpWebSocket;
  const TCPSocket: typeof tcpModule.TCPSocket;
}
