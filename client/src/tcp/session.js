/**
 * The session that carries the TCP streams of one client: of this page alone, made when the first
 * stream is opened and ended a while after the last.
 *
 * Not the client's own session: tabs share that, and a stream belongs to one page.
 *
 * @import { ConnectOptions, Encke } from '../../encke.js'
 * @import { CloseInfo, TcpTarget, TcpOptions } from '../../encke.tcp.js'
 */
import { parseJson, unrefTimeout } from '../base.js';
import { Endpoint } from '../endpoint.js';
import { Link } from '../link.js';
import { watchPage } from '../page.js';
import { fromBase64, fromRecord } from './bytes.js';
import { TcpStream } from './stream.js';
import { StreamUplink } from './uplink.js';

/** The sessions by the clients that they belong to. @type {WeakMap<object, TcpSession>} */
const sessions = new WeakMap();

/**
 * Opens a stream. Called by the client's method `tcp`, which alone knows its URL and its options.
 * @param {Encke} client
 * @param {URL} url
 * @param {ConnectOptions} connectOptions
 * @param {TcpTarget} target
 * @param {TcpOptions} [options]
 */
export function openStream(client, url, connectOptions, target, options) {
  let session = sessions.get(client);
  if (!session) {
    session = new TcpSession(client, new StreamEndpoint(url, connectOptions), () => sessions.delete(client));
    sessions.set(client, session);
  }
  return session._open(target, options);
}

/** An endpoint whose WebSockets carry records: raw bytes instead of base64. */
class StreamEndpoint extends Endpoint {
  /** @param {URL} url @param {ConnectOptions} options */
  constructor(url, options) {
    super(url, options);
    /** @type {any} */
    const runtime = this._runtime;
    const { WebSocket: Socket } = runtime;
    if (!Socket) return;
    runtime.WebSocket = class extends Socket {
      /** @param {any[]} what */
      constructor(...what) {
        super(...what);
        this.binaryType = 'arraybuffer';
      }
    };
  }

  /** @param {Record<string, string>} query */
  _socketUrl(query) { return super._socketUrl(query.echo ? query : { ...query, binary: '1' }); }

  /** @param {any} data */
  _decode(data) { return typeof data === 'string' ? parseJson(data) : fromRecord(data); }
}

/** One session with its streams. */
class TcpSession {
  /** @type {Map<number, TcpStream>} */
  #streams = new Map();
  #count = 0;
  /** The session's id at the server, once there is one. */
  #id = '';
  #link;
  #uplink;
  #unwatch;
  #offClient;
  /** @type {any} */
  #idleTimer;

  /** @param {Encke} client @param {Endpoint} endpoint @param {() => void} onEnd */
  constructor(client, endpoint, onEnd) {
    this._endpoint = endpoint;
    this._onEnd = onEnd;
    const link = this.#link = new Link(endpoint, { session: '', position: '', seen: '' }, () => '');
    link.on('open', () => this.#onOpen());
    link.on('message', (envelope) => this.#onMessage(envelope));
    link.on('gap', () => { for (const stream of this.#all()) stream._onGap(); });
    link.on('status', ({ state, cause }) => {
      if (state !== 'refused') return;
      // A session that the server has ended is over; a client that it does not let in has none.
      const info = { code: cause.code, reason: cause.reason };
      this.#end(this.#id ? { code: 'expired', reason: `the session has ended: ${cause.code}` } : info);
    });
    // After the listeners above: streams of an earlier session are gone before anything is sent.
    this.#uplink = new StreamUplink(link, this.#streams);
    this.#unwatch = watchPage({
      _onWake: () => link._check(),
      _onNetworkChange: () => link._networkChanged(),
      _onOffline: () => link._offline(),
      _onHide: (mayReturn) => {
        // The session lasts for the grace: a page that returns from the cache goes on.
        if (mayReturn) link._stop();
        else this.#end({ code: 'reset', reason: 'the page was left' });
      },
      _onShow: () => link._open(),
    });
    this.#offClient = client.on('state', ({ state }) => state === 'closed' && this.#end({ code: 'reset', reason: 'the client was closed' }));
    if (client.state === 'closed') queueMicrotask(() => this.#end({ code: 'reset', reason: 'the client is closed' }));
    else link._open();
  }

  /** @param {TcpTarget} target @param {TcpOptions} [options] */
  _open(target, options = {}) {
    const stream = new TcpStream(++this.#count, target, options, () => this.#uplink._wake());
    this.#streams.set(this.#count, stream);
    clearTimeout(this.#idleTimer);
    stream.closed.then(() => this.#endIfIdle());
    this.#uplink._wake();
    return stream;
  }

  /** A copy: streams may go meanwhile. */
  #all() { return [...this.#streams.values()]; }

  #onOpen() {
    const { session } = this.#link._place;
    if (session === this.#id) return;
    if (this.#id) {
      this.#uplink._rewind();
      for (const stream of this.#all()) if (stream._isOfSession) stream._lose({ code: 'expired', reason: 'the session has ended' });
    }
    this.#id = session;
  }

  /** @param {any} envelope */
  #onMessage({ tcp, data, encoding }) {
    if (!tcp) return;
    this.#streams.get(tcp.stream)?._onEvent(tcp, encoding === 'base64' ? fromBase64(data) : data);
  }

  #endIfIdle() {
    clearTimeout(this.#idleTimer);
    if (this.#all().some((stream) => !stream._isClosed)) return;
    this.#idleTimer = unrefTimeout(() => this.#end(), IDLE_MAX_MS);
  }

  /** @param {CloseInfo} [info] why its streams end */
  #end(info = { code: 'reset', reason: '' }) {
    this._onEnd();
    this.#unwatch();
    this.#offClient();
    clearTimeout(this.#idleTimer);
    const { session } = this.#link._place;
    const { state } = this.#link._status;
    if (state !== 'refused' && state !== 'closed') this.#link._stop();
    this.#uplink._stop();
    if (session) this._endpoint._endSession(session, true);
    for (const stream of this.#all()) stream._lose(info);
    this.#streams.clear();
  }
}

/** How long a session without streams stays, for a page that opens the next. */
const IDLE_MAX_MS = 5_000;
