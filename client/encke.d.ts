/** What the library offers; its sources are checked against this. */

export type TransportName = 'ws' | 'stream' | 'sse' | 'longpoll' | 'poll';

/**
 * - `connecting`: the first attempt, or one after a wait
 * - `live`: messages arrive
 * - `degraded`: messages arrive, but only by polling, or the connection is in doubt
 * - `retrying`: not connected; the next attempt is at `status.at`
 * - `offline`: the platform reports that there is no network
 * - `refused`: the server refuses this client; `reconnect()` tries again
 * - `closed`: after `close()`
 */
export type State = 'connecting' | 'live' | 'degraded' | 'retrying' | 'offline' | 'refused' | 'closed';

/** Why an operation failed. `kind` names the part that has to change; `code` is for programs and is stable. */
export interface Cause {
  kind: 'network' | 'server' | 'auth' | 'middlebox' | 'client';
  code: string;
  reason: string;
  /** The HTTP status, if there was one. */
  status?: number;
}

/** The outcome of an attempt to use a transport: `ok`, or the code of a cause. */
export interface Tried {
  transport: TransportName;
  outcome: string;
  /** Milliseconds until the first message. */
  ms?: number;
  /** Milliseconds since 1970. */
  at: number;
}

export interface Status {
  state: State;
  cause: Cause | null;
  transport: TransportName | null;
  /** Why this transport is in use, in words. */
  why: string;
  tried: Tried[];
  /** When the next attempt is made. Milliseconds since 1970. */
  at?: number;
}

/** Where a client is: its session, the position to resume at, and the last message that it has seen. */
export interface Place {
  session: string;
  position: string;
  seen: string;
  /** Milliseconds for which the server remembers session and publishes. */
  grace?: number;
  /** Milliseconds after which silence is suspicious. */
  heartbeat?: number;
}

export interface Message<Data = any> {
  /** The message's position in the session's order. */
  id: string;
  channel: string;
  /** The user who published it, as the server has checked; messages of backends have none. */
  from?: string;
  /** The payload; a `Uint8Array` if it was published as bytes. */
  data: Data;
}

/** Messages may be missing: fetch what you show again. With `channel`, of that subscription only. */
export interface Gap {
  from: string;
  to: string;
  channel?: string;
}

/** The users subscribed to a channel: all `users` at first, then those who `came` and `left`. */
export interface Presence {
  channel: string;
  count: number;
  users?: string[];
  came?: string[];
  left?: string[];
}

/** The classes of the platform. Pass those that it lacks, or replacements. */
export interface Runtime {
  fetch: typeof fetch;
  WebSocket: typeof WebSocket;
  EventSource: typeof EventSource;
  locks?: Pick<LockManager, 'request'>;
  BroadcastChannel?: typeof BroadcastChannel;
  storage?: Pick<Storage, 'getItem' | 'setItem'>;
}

export interface ConnectOptions {
  /** A JWT, or a function that supplies one: it is called again when the token expires or is refused. */
  token?: string | (() => string | Promise<string>);
  /** Which transports may be used, best first. Default: ws, stream, sse, longpoll. */
  transports?: TransportName[];
  /** Whether two long polls wait at the server, so that no message waits for a round trip. Default: false. */
  overlap?: boolean;
  /** Whether tabs share one connection. Default: true in pages and their workers. */
  share?: boolean;
  /** As of `fetch`; `include` sends cookies to other origins. */
  credentials?: RequestCredentials;
  /** Publishes that may wait. Default 1,000. */
  queue?: number;
  /** Milliseconds for which a publish whose answer was lost may be sent again. Default: a little less than the server says. */
  grace?: number;
  /** Closes the client. */
  signal?: AbortSignal;
  runtime?: Partial<Runtime>;
}

export interface SubscribeOptions {
  /** Start with at most this many recent messages. */
  last?: number;
  /** Get presence: `true` and the event `presence`, or a listener. */
  presence?: boolean | ((presence: Presence) => void);
  /** Only the newest message, at most one in this many milliseconds. More often if another subscription of the page or its tabs wants less conflation. */
  conflate?: number;
  /** Unsubscribes. */
  signal?: AbortSignal;
}

export interface PublishOptions {
  /** Aborting ends the wait. It does not take back a publish that was sent. */
  signal?: AbortSignal;
}

export class EnckeError extends Error {
  kind: Cause['kind'];
  code: string;
  status?: number;
}

type Off = () => void;
interface OnOptions { signal?: AbortSignal }

/** Awaited, it is the server's answer; iterated, it is the messages. */
export class Subscription<Data = any> implements PromiseLike<{ channel: string; position?: string }>, AsyncIterable<Message<Data>> {
  readonly channel: string;
  readonly then: PromiseLike<{ channel: string; position?: string }>['then'];
  on(name: 'message', listener: (message: Message<Data>) => void, options?: OnOptions): Off;
  on(name: 'presence', listener: (presence: Presence) => void, options?: OnOptions): Off;
  on(name: 'end', listener: () => void, options?: OnOptions): Off;
  unsubscribe(): void;
  [Symbol.asyncIterator](): AsyncGenerator<Message<Data>, void, void>;
}

export class Encke {
  private constructor();
  readonly status: Status;
  readonly state: State;
  readonly cause: Cause | null;
  readonly transport: TransportName | null;
  readonly why: string;
  readonly tried: Tried[];
  readonly session: string;
  readonly position: string;
  /** Whether this tab holds the connection. */
  readonly leads: boolean;
  subscribe<Data = any>(channel: string, listener: (message: Message<Data>) => void, options?: SubscribeOptions): Subscription<Data>;
  subscribe<Data = any>(channel: string, options?: SubscribeOptions): Subscription<Data>;
  /** Ends all of this page's subscriptions to a channel or pattern. */
  unsubscribe(channel: string): void;
  /**
   * Publishes once, now or as soon as there is a connection; resolves to the message's id. An `ArrayBuffer`, a view of one or a `Blob` is
   * published as bytes, all else as JSON.
   */
  publish(channel: string, data: unknown, options?: PublishOptions): Promise<string>;
  on(name: 'state', listener: (status: Status) => void, options?: OnOptions): Off;
  on(name: 'message', listener: (message: Message) => void, options?: OnOptions): Off;
  on(name: 'gap', listener: (gap: Gap) => void, options?: OnOptions): Off;
  on(name: 'presence', listener: (presence: Presence) => void, options?: OnOptions): Off;
  /** A subscription was refused. */
  on(name: 'error', listener: (error: EnckeError) => void, options?: OnOptions): Off;
  /** Tries again at once, also after `refused`. */
  reconnect(): void;
  close(): void;
}

/** Connects to a user's URL, such as `/u/alice`. */
export function connect(url: string | URL, options?: ConnectOptions): Encke;
