/**
 * Which transport to use: what is allowed, what has failed here, what worked last time on this network.
 *
 * Judges by what came through and never by the browser's name. Opens nothing itself.
 *
 * @import { TransportName, ConnectOptions, Runtime, Tried } from '../encke.js'
 */
import { allowed, parsed } from './base.js';

/** The transports of one network, best first, and what is known of each. */
export class Choice {
  /** @type {Partial<Record<TransportName, { wait: number, until: number, code: string }>>} */
  failed = {};
  /** @type {TransportName | undefined} */
  best;
  key = '';

  /** @param {ConnectOptions} options @param {Runtime} runtime @param {string} origin */
  constructor(options, runtime, origin) {
    const able = (/** @type {TransportName} */ kind) =>
      (kind !== 'ws' || !!runtime.WebSocket) && (kind !== 'sse' || !!runtime.EventSource) && (kind === 'poll' || ALL.includes(kind));
    this.allowed = (options.transports ?? ALL).filter(able);
    if (!this.allowed.length) throw new TypeError(`none of the transports ${options.transports} can be used here`);
    this.storage = runtime.storage;
    this.origin = origin;
    /** @type {Tried[]} what came of each try, latest last */
    this.tried = [];
    this.recall();
  }

  /** What surely works, for it is answered and over: a poll, where one is allowed. */
  get safe() {
    return this.allowed.find((kind) => kind === 'longpoll') ?? /** @type {TransportName} */ (this.allowed.at(-1));
  }

  /** Those that are one response without an end. */
  get endless() { return this.allowed.filter((kind) => kind === 'stream' || kind === 'sse'); }

  /** What to begin with: what worked last time, else what surely works. */
  get first() {
    return this.best && this.works(this.best) ? this.best : this.safe;
  }

  /** Those that are better than one and are not known to fail, best first. @param {TransportName} kind */
  above(kind) {
    return this.allowed.slice(0, this.allowed.indexOf(kind)).filter((better) => this.works(better));
  }

  /** When the next that failed may be tried again; Infinity if none did. */
  get nextTry() {
    return Math.min(Infinity, ...this.#failing().map(([, { until }]) => until));
  }

  /** The best that is allowed, or as good as one can be here. @param {TransportName} kind */
  isBest(kind) { return this.allowed.indexOf(kind) === 0; }

  /** @param {TransportName} kind */
  works(kind) { return !(/** @type {any} */ (this.failed[kind])?.until > Date.now()); }

  /** It works, and something came through. @param {TransportName} kind @param {number} ms */
  succeeded(kind, ms) {
    this.note({ transport: kind, outcome: 'ok', ms, at: Date.now() });
    delete this.failed[kind];
    if (this.best === undefined || this.allowed.indexOf(kind) <= this.allowed.indexOf(this.best) || !this.works(this.best)) this.best = kind;
    this.remember();
  }

  /** It does not work on this network, for now: each time for twice as long. @param {TransportName} kind @param {string} code */
  strike(kind, code) {
    this.note({ transport: kind, outcome: code, at: Date.now() });
    if (this.allowed.length === 1) return;
    const wait = Math.min((this.failed[kind]?.wait ?? STRIKE.first / 2) * 2, STRIKE.longest);
    this.failed[kind] = { wait, until: Date.now() + wait, code };
    if (this.best === kind) this.best = undefined;
    this.remember();
  }

  /** @param {Tried} one */
  note(one) {
    this.tried = [...this.tried.slice(1 - TRIED_MAX), one];
  }

  /** Another network, or the same: what is known of it counts, and nothing else. */
  recall() {
    const { type = '' } = /** @type {any} */ (globalThis).navigator?.connection ?? {};
    this.key = `encke ${this.origin} ${type}`;
    this.failed = {};
    this.best = undefined;
    const known = parsed(allowed(() => this.storage?.getItem(this.key)) ?? '');
    if (!known || !(Date.now() - known.at < MEMORY)) return;
    this.failed = known.failed ?? {};
    if (this.allowed.includes(known.best)) this.best = known.best;
  }

  remember() {
    const { best, failed } = this;
    // Full or forbidden: the next page finds out anew.
    allowed(() => this.storage?.setItem(this.key, JSON.stringify({ best, failed, at: Date.now() })));
  }

  /** In words, why it is this one. @param {TransportName | undefined} kind */
  why(kind) {
    if (!kind) return 'nothing is connected';
    const failing = this.#failing().map(([name, { code }]) => `${name} ${WORDS[code] ?? code}`);
    const better = this.allowed.slice(0, this.allowed.indexOf(kind)).filter((name) => this.works(name));
    if (this.allowed.length === 1) return `${kind} is the only one allowed`;
    if (failing.length) return `${kind}: ${failing.join(', ')}`;
    return better.length ? `${kind} works everywhere; ${better.join(' and ')} not yet tried` : `${kind} is the best, and data came through`;
  }

  /** @returns {[string, { wait: number, until: number, code: string }][]} */
  #failing() {
    return Object.entries(this.failed).filter(([, { until }]) => until > Date.now());
  }
}

/** @type {Record<string, string>} */
const WORDS = { blocked: 'is not let through', 'held-back': 'is held back on the way', silent: 'fell silent', 'origin-refused': 'is refused (ENCKE_ORIGINS)', cut: 'is cut again and again' };
/** @type {TransportName[]} best first */
const ALL = ['ws', 'stream', 'sse', 'longpoll'];
/** For how long a transport that failed is not tried. Milliseconds. */
const STRIKE = { first: 60_000, longest: 3_600_000 };
/** For how long a network is remembered. Milliseconds. */
const MEMORY = 86_400_000;
/** How many outcomes are kept to be shown. */
const TRIED_MAX = 32;
