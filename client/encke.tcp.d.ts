/** What the module for TCP streams offers; its sources are checked against this. */
import type { Cause, ConnectOptions, Encke } from './encke.js';

export type { Cause, ConnectOptions, Encke };

/** The name of a target that the server has, or an address that its rules allow. */
export type TcpTarget = string | { host: string; port: number };

export interface TcpOptions {
  /** Bytes that may be under way to the page. Default and most: what the server allows, 256 KiB. */
  window?: number;
  /** Resets the stream. */
  signal?: AbortSignal;
}

/**
 * Why a stream is over.
 *
 * - `ok`: both directions have ended
 * - `reset`: the page has reset it, was left, or has closed its client
 * - `backend-refused`, `backend-timeout`, `backend-unknown`, `backend-tls`: no connection came about
 * - `backend-reset`: the backend has reset the connection
 * - `idle`: it was silent, or half-closed, for too long
 * - `limit`: the server has no room for it
 * - `expired`: the session has ended: there was no connection for too long, or the server was restarted
 * - `unknown`: the server has ended it, and a gap covers how
 *
 * Any other code is that of a refusal: `tcp-unknown-target`, `forbidden`, `too-many-streams`, `bad-token`, …
 */
export type CloseCode =
  | 'ok' | 'reset' | 'backend-refused' | 'backend-timeout' | 'backend-unknown' | 'backend-tls' | 'backend-reset' | 'idle' | 'limit' | 'expired' | 'unknown'
  | (string & {});

export interface CloseInfo {
  code: CloseCode;
  /** For people. */
  reason: string;
}

export interface TcpStream {
  /** The backend's bytes. Nothing is acknowledged before it is read: if the page reads no more, the server does not, either. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /**
   * Takes bytes and text. A write resolves when the server has room for it; its bytes are kept until they are confirmed. `close()` ends this
   * direction only, and resolves once the server has all; `abort()` resets the stream.
   */
  readonly writable: WritableStream<Uint8Array | ArrayBuffer | string>;
  /** Resolves when the backend is connected; rejects with an `EnckeError` if it never is. */
  readonly opened: Promise<void>;
  /** How the stream ended. Never rejects. */
  readonly closed: Promise<CloseInfo>;
  /** Ends the page's direction after what was written, even while the writable is locked. The backend may go on sending. */
  close(): Promise<CloseInfo>;
  /** Ends both directions at once. */
  reset(): void;
}

/** Opens a stream; it can be written to at once. */
export function tcp(client: Encke, target: TcpTarget, options?: TcpOptions): TcpStream;

export interface WebSocketOptions extends TcpOptions {
  /** Messages are strings: UTF-8, whose characters are never split. Default: bytes. */
  text?: boolean;
  /** The subprotocol that the socket shows, for libraries that look at it. */
  protocol?: string;
}

/** A stream in the shape of a WebSocket. The borders of its messages mean nothing. */
export class TcpWebSocket extends EventTarget {
  constructor(client: Encke, target: TcpTarget, options?: WebSocketOptions);
  static readonly CONNECTING: number;
  static readonly OPEN: number;
  static readonly CLOSING: number;
  static readonly CLOSED: number;
  readonly CONNECTING: number;
  readonly OPEN: number;
  readonly CLOSING: number;
  readonly CLOSED: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  /** The event has `code` (1000, what the page gave to `close`, or 1006), `reason` and `wasClean`. */
  onclose: ((event: any) => void) | null;
  binaryType: BinaryType;
  /** Bytes that wait for room at the server. */
  readonly bufferedAmount: number;
  readonly readyState: number;
  readonly extensions: string;
  readonly protocol: string;
  readonly url: string;
  send(data: string | ArrayBuffer | ArrayBufferView | Blob): void;
  close(code?: number, reason?: string): void;
}

export function webSocket(client: Encke, target: TcpTarget, options?: WebSocketOptions): TcpWebSocket;

/** The socket of older pages. Its callbacks are never called from inside its methods. */
export class TCPSocket {
  /** The client whose streams it uses. Set it first. */
  static client: Encke | undefined;
  /** 1 initialised, 2 opening, 3 open, 4 closing, 5 closed */
  readonly readyState: number;
  onopen: (() => void) | null | undefined;
  /** Text, of whole characters; in binary mode a character for each byte. */
  onread: ((data: string) => void) | null | undefined;
  /**
   * 101 the connection was lost or silent, 102 a bad request, 103 reset by the page, 104 no answer of the backend, 106 not allowed,
   * 108 no connection to the backend, 109 reset by the backend, 110 another error, 201 ended.
   */
  onclose: ((code: number) => void) | null | undefined;
  /** Opens it, once. Without a port, `host` is the name of a target. */
  open(host: string, port?: number | string, isBinary?: boolean): void;
  send(data: string): void;
  close(): void;
  reset(): void;
}

declare module './encke.js' {
  interface Encke {
    /** Opens a TCP stream; it can be written to at once. */
    tcp(target: TcpTarget, options?: TcpOptions): TcpStream;
  }
}
