/**
 * Which transport to use: those that are allowed, those that failed on this network, and the one
 * that worked last time.
 *
 * Decides by the data that arrived, never by the browser's name. Opens no connection itself.
 *
 * @import { TransportName, ConnectOptions, Runtime, Tried } from '../encke.js'
 */
import { attempt, parseJson } from './base.js';

/** The allowed transports, best first, and what is known about each on the current network. */
export class Choice {
  /** @type {Partial<Record<TransportName, { wait: number, until: number, code: string }>>} */
  #failures = {};
  /** @type {TransportName | undefined} */
  #best;
  #storage;
  #origin;
  #key = '';
  /** Outcomes of attempts, the latest last. @type {Tried[]} */
  _tried = [];

  /** @param {ConnectOptions} options @param {Runtime} runtime @param {string} origin */
  constructor(options, runtime, origin) {
    const { WebSocket: ws, EventSource: sse, storage } = runtime;
    const supported = { ws, stream: true, sse, longpoll: true, poll: true };
    this._allowed = (options.transports ?? ALL).filter((kind) => supported[kind]);
    if (!this._allowed.length) throw new TypeError(`none of the transports ${options.transports} can be used here`);
    this.#storage = storage;
    this.#origin = origin;
    this._recall();
  }

  /** The transport that passes every proxy: its responses end. A long poll, where it is allowed. */
  get _fallback() {
    return this._allowed.find((kind) => kind === 'longpoll') ?? /** @type {TransportName} */ (this._allowed.at(-1));
  }

  /** The transport to begin with. */
  get _initial() {
    return this.#best && this.#isUsable(this.#best) ? this.#best : this._fallback;
  }

  /** Usable transports that are better than `kind`, best first. @param {TransportName} kind */
  _better(kind) {
    return this._allowed.slice(0, this._allowed.indexOf(kind)).filter((better) => this.#isUsable(better));
  }

  /** When the next failed transport may be tried again; Infinity if none has failed. */
  get _nextRetryAt() {
    return Math.min(...this.#failing().map(([, { until }]) => until));
  }

  /** @param {TransportName} kind */
  #isUsable(kind) { return !(/** @type {any} */ (this.#failures[kind])?.until > Date.now()); }

  /** Data arrived by this transport. @param {TransportName} kind @param {number} ms until it did */
  _recordSuccess(kind, ms) {
    this.#record({ transport: kind, outcome: 'ok', ms });
    delete this.#failures[kind];
    if (!this._better(kind).some((better) => better === this.#best)) this.#best = kind;
    this.#store();
  }

  /**
   * The transport failed on this network. It is not tried for a while, twice as long each time.
   * @param {TransportName} kind
   * @param {string} code
   */
  _recordFailure(kind, code) {
    this.#record({ transport: kind, outcome: code });
    if (this._allowed.length === 1) return;
    const wait = Math.min((this.#failures[kind]?.wait ?? FAILURE_FIRST_MS / 2) * 2, FAILURE_MAX_MS);
    this.#failures[kind] = { wait, until: Date.now() + wait, code };
    if (this.#best === kind) this.#best = undefined;
    this.#store();
  }

  /** @param {Omit<Tried, 'at'>} outcome */
  #record(outcome) {
    this._tried = [...this._tried.slice(1 - TRIED_LEN_MAX), { ...outcome, at: Date.now() }];
  }

  /** Loads what an earlier page stored about the current network; forgets every other network. */
  _recall() {
    const { type = '' } = /** @type {any} */ (globalThis).navigator?.connection ?? {};
    this.#key = `encke ${this.#origin} ${type}`;
    this.#failures = {};
    this.#best = undefined;
    const known = parseJson(attempt(() => this.#storage?.getItem(this.#key)) ?? '');
    if (!known || !(Date.now() - known.at < MEMORY_MS)) return;
    this.#failures = known.failed ?? {};
    if (this._allowed.includes(known.best)) this.#best = known.best;
  }

  #store() {
    const known = { best: this.#best, failed: this.#failures, at: Date.now() };
    // Storage may be full or forbidden. The next page then has to try each transport again.
    attempt(() => this.#storage?.setItem(this.#key, JSON.stringify(known)));
  }

  /** Why this transport is in use, in words. @param {TransportName | undefined} kind */
  _explain(kind) {
    if (!kind) return 'not connected';
    const failing = this.#failing().map(([name, { code }]) => `${name} ${FAILURES[code] ?? code}`);
    const better = this._better(kind);
    if (this._allowed.length === 1) return `${kind} is the only one allowed`;
    if (failing.length) return `${kind}: ${failing.join(', ')}`;
    return better.length ? `${kind} works everywhere; ${better.join(' and ')} not yet tried` : `${kind} is the best, and data came through`;
  }

  /** @returns {[string, { wait: number, until: number, code: string }][]} */
  #failing() {
    return Object.entries(this.#failures).filter(([, { until }]) => until > Date.now());
  }
}

/** @type {Record<string, string>} */
const FAILURES = {
  blocked: 'is blocked', 'held-back': 'is buffered', silent: 'went silent', 'origin-refused': 'is refused (ENCKE_ORIGINS)', cut: 'is cut repeatedly',
};
/** @type {TransportName[]} best first */
const ALL = ['ws', 'stream', 'sse', 'longpoll'];
/** How long a transport that failed is not tried: at first, and at most. */
const FAILURE_FIRST_MS = 60_000;
const FAILURE_MAX_MS = 3_600_000;
/** How long what is known about a network counts: a day, since networks change. */
const MEMORY_MS = 86_400_000;
/** Outcomes kept for `status.tried`. A page shows the last few. */
const TRIED_LEN_MAX = 32;
