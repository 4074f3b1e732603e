/**
 * The way to the server: URLs, tokens and single requests, and what a failed one means.
 *
 * Holds no session and no connection. Every request that fails throws an `EnckeError` whose kind is decided here.
 *
 * @import { ConnectOptions, Runtime } from '../encke.js'
 */
import { EnckeError, allowed, later, parsed } from './base.js';

/** How to reach one user's URL, as whom, and with which of the platform's classes. */
export class Way {
  /** @param {string | URL} url @param {ConnectOptions} options */
  constructor(url, options) {
    const base = /** @type {any} */ (globalThis).location?.href;
    this.base = new URL(url, base);
    this.base.pathname = this.base.pathname.replace(/\/$/, '');
    this.options = options;
    const given = /** @type {any} */ (options.runtime ?? {});
    const scope = /** @type {any} */ (globalThis);
    const has = (/** @type {string} */ name, of = () => scope) => allowed(() => given[name] ?? of()?.[name]);
    /** @type {Runtime} */
    this.runtime = {
      fetch: given.fetch ?? ((...request) => fetch(...request)),
      WebSocket: has('WebSocket'),
      EventSource: has('EventSource'),
      locks: has('locks', () => scope.navigator),
      BroadcastChannel: has('BroadcastChannel'),
      storage: has('storage', () => scope.document && { storage: has('localStorage') ?? has('sessionStorage') }),
    };
    /** @type {string | undefined} */
    this.token = typeof options.token === 'string' ? options.token : undefined;
    /** @type {any} */
    this.renewal = undefined;
    /** Called when the token is about to end and a new one is there. */
    this.onrenewed = () => {};
  }

  /** The user's own channel, as it stands in envelopes. */
  get personal() {
    return this.base.pathname.slice(this.base.pathname.lastIndexOf('/u/'));
  }

  /** Whether a new token can be had. */
  get renews() { return typeof this.options.token === 'function'; }

  /** Has a token ready, a new one if asked for. Throws what the page's function throws. @param {boolean} [anew] */
  async authorize(anew = false) {
    const { token } = this.options;
    if (typeof token !== 'function' || (this.token !== undefined && !anew)) return;
    try {
      this.token = await token();
    } catch (error) {
      throw new EnckeError('auth', 'no-new-token', `the page has no token: ${error}`);
    }
    this.#renewBeforeEnd();
  }

  #renewBeforeEnd() {
    clearTimeout(this.renewal);
    const exp = parsed(decoded(this.token?.split('.')[1]))?.exp;
    const left = exp * 1000 - Date.now();
    // A day at most: longer timers overflow, and clocks are put right meanwhile.
    if (!(left > 0) || left > 86_400_000) return;
    const renew = () => this.authorize(true).then(() => this.onrenewed(), () => {});
    this.renewal = later(renew, left - Math.min(RENEW_AHEAD, left / 4));
  }

  /** @param {string} name @param {Record<string, string>} query @param {boolean} [withToken] where no header can be sent */
  url(name, query, withToken = false) {
    const url = new URL(this.base);
    url.pathname += `/${name}`;
    const all = withToken && this.token ? { ...query, token: this.token } : query;
    for (const [key, value] of Object.entries(all)) url.searchParams.set(key, value);
    return url;
  }

  /** @param {Record<string, string>} query */
  socketUrl(query) {
    const url = this.url('ws', query, true);
    url.protocol = url.protocol.replace('http', 'ws');
    return url;
  }

  /**
   * One request; resolves to a good response whose body is still to come.
   * @param {string} name
   * @param {{ query?: Record<string, string>, body?: string, signal?: AbortSignal, limit?: number, keepalive?: boolean }} [how]
   *   `limit`: milliseconds until the head must be there
   * @returns {Promise<Response>}
   */
  async request(name, { query = {}, body, signal, limit = PATIENCE, keepalive } = {}) {
    const stop = new AbortController();
    const abort = () => stop.abort();
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort);
    const timer = setTimeout(abort, limit);
    // No header that would need a preflight, unless there is a token to be sent.
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : undefined;
    const { credentials } = this.options;
    /** @type {RequestInit} */
    const init = { method: body && 'POST', body, headers, credentials, keepalive, cache: 'no-store', signal: stop.signal };
    let response;
    try {
      response = await this.runtime.fetch(this.url(name, query), init);
    } catch {
      throw await this.#unanswered(stop.signal);
    } finally {
      clearTimeout(timer);
    }
    // What a captive portal or a gateway says in our server's stead is a page.
    if (response.ok && response.headers.get('Content-Type')?.includes('html')) throw foreign(response.status);
    if (!response.ok) throw refusal(response, await response.text().catch(() => ''));
    return response;
  }

  /**
   * Why there was no answer. Pages are not told why a request to another origin failed: its own script the server gives to every
   * page, and one that gets it and cannot say the plainest thing is refused, which has a status. One that could ask without being
   * told the answer may be refused, too; but a gateway's errors look the same.
   * @param {AbortSignal} signal
   */
  async #unanswered(signal) {
    if (own() && own() !== this.base.origin && !signal.aborted) {
      const script = new URL(this.base);
      script.pathname = script.pathname.replace(/\/u\/[^/]*$/, '/encke.js');
      const asks = (/** @type {URL} */ url, /** @type {RequestInit} */ how) =>
        this.runtime.fetch(url, { cache: 'no-store', credentials: 'omit', signal, ...how }).then(({ ok, type }) => ok || type === 'opaque', () => undefined);
      const answered = await asks(this.url('send', {}), { method: 'POST', body: '{"ping":0}' }) !== undefined;
      const known = !answered && await asks(script, { method: 'HEAD' });
      if (known || (!answered && await asks(this.base, { mode: 'no-cors' }))) {
        return new EnckeError('server', ORIGIN_REFUSED, `pages of ${own()} may not connect; ENCKE_ORIGINS lists those that may`, { status: known ? 403 : undefined });
      }
    }
    return new EnckeError('network', signal.aborted ? 'no-answer' : 'unreachable', 'the server cannot be reached');
  }

  /**
   * Why a socket was refused where all else is answered. Its page is known by `Origin` alone, which the server compares with `Host`:
   * where a proxy changes that, the page is a foreign one. Frames ask the same question, and say the answer.
   * @returns {Promise<EnckeError | false | undefined>}
   */
  async socketRefused() {
    if (!own()) return undefined;
    const asked = { origin: own(), padding: '-' };
    return this.request('frame', { query: asked }).then(() => undefined, (error) => error.code === ORIGIN_REFUSED && error);
  }

  /** Commands as JSON texts, by POST; resolves to their answers in order. @param {string[]} commands @param {string} session */
  async send(commands, session, keepalive = false) {
    const query = session ? { session } : undefined;
    const response = await this.request('send', { query, body: `[${commands.join(',')}]`, keepalive });
    const answers = await response.json().catch(() => undefined);
    if (!Array.isArray(answers) || answers.length !== commands.length) throw foreign(response.status);
    return answers;
  }
}

/** What a refused request means. @param {Response} response @param {string} text */
function refusal(response, text) {
  const { status } = response;
  const error = parsed(text)?.error;
  const wait = Number(response.headers.get('Retry-After') ?? NaN) * 1000;
  const more = { status, after: Number.isFinite(wait) ? wait : undefined };
  if (!error?.code) {
    // Not our server: a gateway that does not reach it, or something that does not know us at all.
    if (status === 401 || status === 403 || status === 407) return new EnckeError('auth', 'gateway', `a gateway answered ${status}`, more);
    if (status >= 500 || status === 429) return new EnckeError('server', 'gateway', `a gateway answered ${status}`, more);
    return foreign(status);
  }
  const kind = error.code === ORIGIN_REFUSED ? 'server' : status === 401 || status === 403 ? 'auth' : status >= 500 || status === 408 || status === 429 ? 'server' : 'client';
  return new EnckeError(kind, error.code, error.reason ?? '', more);
}

/** @param {number} status */
function foreign(status) {
  return new EnckeError('middlebox', 'foreign-answer', 'the answer is not this server\'s', { status });
}

/** @param {string | undefined} part base64url @returns {string} */
function decoded(part = '') { return allowed(() => atob(part.replaceAll('-', '+').replaceAll('_', '/'))) ?? ''; }

/** The page's origin, `null` in a sandboxed frame; none in Node. @returns {string} */
function own() {
  const { origin, location } = /** @type {any} */ (globalThis);
  return origin === 'null' ? origin : location?.origin ?? '';
}

/** The server takes no page of this origin. */
export const ORIGIN_REFUSED = 'origin-refused';
/** Time for the head of an answer that is due at once. Milliseconds. */
const PATIENCE = 10_000;
/** A new token is had so long before the old one ends. Milliseconds. */
const RENEW_AHEAD = 10_000;
