/**
 * The URL of one user at the server: its requests, the token they carry, and what a failure means.
 *
 * Holds no session and no connection. A request that fails throws an `EnckeError`, whose kind is
 * decided here.
 *
 * @import { ConnectOptions, Runtime } from '../encke.js'
 */
import { EnckeError, attempt, failure, onAbort, parseJson, unrefTimeout } from './base.js';

/** The user's URL, the token, and the classes of the platform that connections use. */
export class Endpoint {
  /** @type {any} */
  #renewal;
  /** Called when a new token replaces one that is about to expire. */
  _onRenewed = () => {};

  /** @param {string | URL} url @param {ConnectOptions} options */
  constructor(url, options) {
    const scope = /** @type {any} */ (globalThis);
    this._base = new URL(url, scope.location?.href);
    this._base.pathname = this._base.pathname.replace(/\/$/, '');
    /** The address that the page gave; `_base` may be that of one node. */
    this._home = this._base;
    this._options = options;
    const given = /** @type {any} */ (options.runtime ?? {});
    const find = (/** @type {string} */ name, of = () => scope) => attempt(() => given[name] ?? of()?.[name]);
    /** @type {Runtime} */
    this._runtime = {
      fetch: given.fetch ?? ((...request) => fetch(...request)),
      WebSocket: find('WebSocket'),
      EventSource: find('EventSource'),
      locks: find('locks', () => scope.navigator),
      BroadcastChannel: find('BroadcastChannel'),
      storage: find('storage', () => scope.document && { storage: find('localStorage') ?? find('sessionStorage') }),
    };
    /** @type {string | undefined} */
    this._token = typeof options.token === 'string' ? options.token : undefined;
  }

  /**
   * Goes to the node that serves the user, once: if that one sends the client on again, their tables differ, and the client
   * returns to its own address. Never leaves https.
   * @param {string} node
   * @param {URL} [asked] the address that named it
   * @returns {boolean} whether another attempt is worth while at once
   */
  _follow(node, asked = this._base) {
    // Another request has followed already.
    if (asked !== this._base) return true;
    const to = attempt(() => new URL(node, asked));
    const follows = asked === this._home && to && to.origin !== asked.origin && ['https:', asked.protocol].includes(to.protocol);
    this._base = follows ? new URL(asked.pathname + asked.search, to) : this._home;
    return follows;
  }

  /** The user's personal channel, as envelopes name it. */
  get _personalChannel() {
    return this._base.pathname.slice(this._base.pathname.lastIndexOf('/u/'));
  }

  /** Whether the page can supply another token. */
  get _canRenew() { return typeof this._options.token === 'function'; }

  /**
   * Gets a token from the page if there is none, or if `renew` asks for another.
   * @param {boolean} [renew]
   */
  async _authorize(renew) {
    const { token } = this._options;
    if (typeof token !== 'function' || (this._token !== undefined && !renew)) return;
    try {
      this._token = await token();
    } catch (error) {
      throw new EnckeError('auth', 'no-new-token', `the page supplied no token: ${error}`);
    }
    this.#renewInTime();
  }

  #renewInTime() {
    clearTimeout(this.#renewal);
    const exp = parseJson(decodeBase64Url(this._token?.split('.')[1]))?.exp;
    const left = exp * 1000 - Date.now();
    // Timers longer than 24.8 days overflow. A day is enough: the page's clock may be corrected.
    if (!(left > 0) || left > RENEWAL_MAX_MS) return;
    const renew = () => this._authorize(true).then(() => this._onRenewed(), () => {});
    this.#renewal = unrefTimeout(renew, left - Math.min(RENEW_AHEAD_MS, left / 4));
  }

  /**
   * @param {string} name
   * @param {Record<string, string>} [query]
   * @param {boolean} [withToken] for requests that can carry no header
   */
  _url(name, query, withToken) {
    const url = new URL(this._base);
    url.pathname += `/${name}`;
    const all = withToken && this._token ? { ...query, token: this._token } : query ?? {};
    for (const [key, value] of Object.entries(all)) url.searchParams.set(key, value);
    return url;
  }

  /** @param {Record<string, string>} query */
  _socketUrl(query) {
    const url = this._url('ws', query, true);
    url.protocol = url.protocol.replace('http', 'ws');
    return url;
  }

  /** The envelope in a message of a socket or an event stream. @param {any} data @returns {any} */
  _decode(data) { return parseJson(data); }

  /**
   * One request. Resolves when the head of a good response is there; its body is still to come.
   * @param {string} name
   * @param {{ query?: Record<string, string>, body?: string, signal?: AbortSignal, limit?: number, keepalive?: boolean }} [how]
   *   `limit`: milliseconds until the head must be there
   * @param {boolean} [isAgain] another node has sent it here
   * @returns {Promise<Response>}
   */
  async _request(name, how = {}, isAgain) {
    const { query, body, signal, limit = HEAD_MAX_MS, keepalive } = how;
    const asked = this._base;
    const stop = new AbortController();
    const abort = () => stop.abort();
    if (signal?.aborted) abort();
    onAbort(signal, abort);
    const timer = setTimeout(abort, limit);
    // A header of our own would need a preflight: there is none unless a token must be sent.
    const headers = this._token ? { Authorization: `Bearer ${this._token}` } : undefined;
    const { credentials } = this._options;
    /** @type {RequestInit} */
    const init = { method: body && 'POST', body, headers, credentials, keepalive, cache: 'no-store', signal: stop.signal };
    let response;
    try {
      response = await this._runtime.fetch(this._url(name, query), init);
    } catch {
      throw await this.#unanswered(stop.signal);
    } finally {
      clearTimeout(timer);
    }
    // A captive portal or a gateway that answers instead of the server sends a page.
    if (response.ok && response.headers.get('Content-Type')?.includes('html')) throw failure('foreign-answer', response.status);
    if (response.ok) return response;
    const error = errorOf(response, await response.text().catch(() => ''));
    if (error._node && !isAgain && this._follow(error._node, asked)) return this._request(name, how, true);
    throw error;
  }

  /**
   * Why a request got no answer. The browser does not tell a page why a request to another origin
   * failed. The server gives its own script to pages of every origin: a page that gets the script
   * but cannot ping is refused, with status 403. A page that can ping only blindly (`no-cors`) may
   * be refused as well, but an error of a gateway looks the same.
   * @param {AbortSignal} signal
   */
  async #unanswered(signal) {
    const page = pageOrigin();
    if (page && page !== this._base.origin && !signal.aborted) {
      const script = new URL(this._base);
      script.pathname = script.pathname.replace(/\/u\/[^/]*$/, '/encke.js');
      const answers = (/** @type {URL} */ url, /** @type {RequestInit} */ how) =>
        this._runtime.fetch(url, { cache: 'no-store', credentials: 'omit', signal, ...how }).then(({ ok, type }) => ok || type === 'opaque', () => undefined);
      const answered = await answers(this._url('send'), { method: 'POST', body: PING }) !== undefined;
      const known = !answered && await answers(script, { method: 'HEAD' });
      if (known || (!answered && await answers(this._base, { mode: 'no-cors' }))) {
        return new EnckeError('server', ORIGIN_REFUSED, `ENCKE_ORIGINS does not list ${page}`, known ? 403 : undefined);
      }
    }
    return failure(signal.aborted ? 'no-answer' : 'unreachable');
  }

  /**
   * Why the server refused a WebSocket while it answers everything else. A WebSocket names its page
   * by `Origin` alone, which the server compares with `Host`: if a proxy changes `Host`, the page
   * looks foreign. A frame's request makes the same comparison and reports the result.
   * @returns {Promise<EnckeError | false | undefined>}
   */
  async _socketRefusal() {
    const origin = pageOrigin();
    if (!origin) return undefined;
    return this._request('frame', { query: { origin, padding: '-' } }).then(() => undefined, (error) => error.code === ORIGIN_REFUSED && error);
  }

  /**
   * Posts commands; resolves to their answers, in order.
   * @param {string[]} commands JSON texts
   * @param {string} [session]
   * @param {boolean} [keepalive] so that the request outlives the page
   */
  async _send(commands, session, keepalive) {
    const query = session ? { session } : undefined;
    const response = await this._request('send', { query, body: `[${commands.join(',')}]`, keepalive });
    const answers = await response.json().catch(() => undefined);
    if (answers?.length !== commands.length) throw failure('foreign-answer', response.status);
    return answers;
  }

  /**
   * Ends a session at the server; its failure does not matter.
   * @param {string} session
   * @param {boolean} [keepalive]
   */
  _endSession(session, keepalive) {
    this._send(['{"close":true}'], session, keepalive).catch(() => {});
  }
}

/** The error that a refused request stands for. @param {Response} response @param {string} text */
function errorOf({ status, headers }, text) {
  const error = parseJson(text)?.error;
  const after = Number(headers.get('Retry-After') ?? NaN) * 1000;
  const isAuth = status === 401 || status === 403;
  const isServer = status >= 500 || status === 429 || status === 421;
  if (error?.code) {
    const kind = error.code === ORIGIN_REFUSED || isServer || status === 408 ? 'server' : isAuth ? 'auth' : 'client';
    const found = new EnckeError(kind, error.code, error.reason ?? '', status, after || undefined);
    found._node = error.node;
    return found;
  }
  // Not the Encke server: a gateway that cannot reach it, or a server of another kind.
  if (!isAuth && !isServer && status !== 407) return failure('foreign-answer', status);
  return new EnckeError(isServer ? 'server' : 'auth', 'gateway', `a gateway answered ${status}`, status, after || undefined);
}

/** @param {string} [part] @returns {string} */
function decodeBase64Url(part = '') { return attempt(() => atob(part.replaceAll('-', '+').replaceAll('_', '/'))) ?? ''; }

/** The page's origin: `null` in a sandboxed frame, empty in Node. @returns {string} */
function pageOrigin() {
  const { origin, location } = /** @type {any} */ (globalThis);
  return origin === 'null' ? origin : location?.origin ?? '';
}

/** The code by which the server refuses a page's origin. */
export const ORIGIN_REFUSED = 'origin-refused';
/** A command that changes nothing. */
export const PING = '{"ping":0}';
/** Time for the head of a response that is due at once. */
const HEAD_MAX_MS = 10_000;
/** How long before its end a token is renewed: enough for a slow request of the page. */
const RENEW_AHEAD_MS = 10_000;
const RENEWAL_MAX_MS = 86_400_000;
