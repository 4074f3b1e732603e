/** What the library offers; its sources are checked against this. */

export type TransportName = 'ws' | 'stream' | 'sse' | 'longpoll' | 'poll';

/**
 * - `connecting`: the first attempt, or one after a wait
 * - `live`: messages come, by the best transport or on the way to it
 * - `degraded`: messages come, but only by polling, or the connection is in doubt
 * - `retrying`: not connected; tries again at `status.at`
 * - `offline`: the platform says that there is no network
 * - `refused`: the server will not have us; `reconnect()` tries again
 * - `closed`: by `close()`
 */
export type State = 'connecting' | 'live' | 'degraded' | 'retrying' | 'offline' | 'refused' | 'closed';

/** Whose matter it is that something does not work, and what it is: `code` is for programs and stays. */
export interface Cause {
  kind: 'network' | 'server' | 'auth' | 'middlebox' | 'client';
  code: string;
  reason: string;
  /** The HTTP status, if there was one. */
  status?: number;
}

/** What came of trying a transport: `ok`, or the code of a cause. */
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
  /** In words, why it is this transport. */
  why: string;
  tried: Tried[];
  /** When the next attempt is made. Milliseconds since 1970. */
  at?: number;
}

/** Where a client is: its session, the position to go on from, and the last message that it has seen. */
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
  /** Its position in this stream. */
  id: string;
  channel: string;
  /** The user who published it, as the server knows; backends' messages have none. */
  from?: string;
  /** The payload; a `Uint8Array` if it was published as bytes. */
  data: Data;
}

/** Messages may be missing: fetch what you show afresh. With `channel`, of that subscription alone. */
export interface Gap {
  from: string;
  to: string;
  channel?: string;
}

/** Who is there: all `users` at first, then who `came` and who `left`. */
export interface Presence {
  channel: string;
  count: number;
  users?: string[];
  came?: string[];
  left?: string[];
}

/** What the platform has; give what it has not, or what is to be used instead. */
export interface Runtime {
  fetch: typeof fetch;
  WebSocket: typeof WebSocket;
  EventSource: typeof EventSource;
  locks?: Pick<LockManager, 'request'>;
  BroadcastChannel?: typeof BroadcastChannel;
  storage?: Pick<Storage, 'getItem' | 'setItem'>;
}

export interface ConnectOptions {
  /** A JWT, or a function that has one: it is called again when the old one ends or is refused. */
  token?: string | (() => string | Promise<string>);
  /** Which transports may be used, best first. Default: ws, stream, sse, longpoll. */
  transports?: TransportName[];
  /** Whether long polls are asked two at a time, so that none is deaf for a round trip: two connections. Default: false. */
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
  /** Start with up to so many recent messages. */
  last?: number;
  /** Hear who is there: `true` and the event `presence`, or a listener. */
  presence?: boolean | ((presence: Presence) => void);
  /** The newest message only, at most one in so many milliseconds; more often, if the page subscribes elsewhere with less, or without. */
  conflate?: number;
  /** Unsubscribes. */
  signal?: AbortSignal;
}

export interface PublishOptions {
  /** Ends the waiting; what was sent is sent. */
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
  /** Whether this tab has the connection. */
  readonly leads: boolean;
  subscribe<Data = any>(channel: string, listener: (message: Message<Data>) => void, options?: SubscribeOptions): Subscription<Data>;
  subscribe<Data = any>(channel: string, options?: SubscribeOptions): Subscription<Data>;
  /** Ends all of this page's subscriptions to a channel or pattern. */
  unsubscribe(channel: string): void;
  /**
   * Publishes once, now or when there is a connection again; resolves to the message's id. An `ArrayBuffer`, a view of one or a `Blob` is
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
