/**
 * The link of one session to the server: opens a connection, watches it, reconnects after cuts, and
 * moves to better transports.
 *
 * Knows nothing of subscriptions, publishes and tabs. It keeps that no message is lost or doubled:
 * each connection resumes at the position that was reached, and a message that comes twice is
 * dropped by its position. At most one connection is open, and one opening.
 *
 * @import { Cause, Place, State, Status, TransportName } from '../encke.js'
 * @import { Endpoint } from './endpoint.js'
 */
import { EnckeError, Emitter, backoff, failure, isAfter, unrefTimeout } from './base.js';
import { Choice } from './choice.js';
import { Connection, OPEN_MAX_MS, probe } from './connections.js';
import { ORIGIN_REFUSED, PING } from './endpoint.js';

/**
 * Emits `status`, `open` ({ fresh, query }), `message`, `gap`, `presence`, `answer` (to a command
 * that a connection sent), `forbidden` and `down` (a connection is gone).
 */
export class Link extends Emitter {
  /** The connection that delivers messages. @type {Connection | undefined} */
  _connection;
  /** The connection that is being opened. @type {Connection | undefined} */
  #opening;
  /** @type {Status} */
  _status = { state: 'connecting', cause: null, transport: null, why: '', tried: [] };
  /** Attempts that failed since the last success. */
  #attempt = 0;
  /** Connections in a row that carried no message and were cut early or went silent. */
  #fruitless = 0;
  /** The silence, in milliseconds, after which the last socket was cut. */
  #lastSilence = 0;
  /** The silence after which a socket is pinged, where silent sockets are cut. Milliseconds. */
  #silenceMax = Infinity;
  /** Tokens renewed since the last success. */
  #renewals = 0;
  /** Grows with each decision. Code that has awaited something compares it, and stops if stale. */
  #generation = 0;
  /** @type {Record<'retry' | 'open' | 'watch' | 'upgrade', any>} */
  #timers = { retry: 0, open: 0, watch: 0, upgrade: 0 };
  #heartbeat = 25_000;
  /** The last status that was emitted, as text. */
  #reported = '';
  #isProbing = false;

  /**
   * @param {Endpoint} endpoint
   * @param {Place} place
   * @param {() => string} channels those that a new session starts with
   */
  constructor(endpoint, place, channels) {
    super();
    this._endpoint = endpoint;
    /** The session, the position to resume at, and the last message that was emitted. */
    this._place = { ...place };
    this._channels = channels;
    this._choice = new Choice(endpoint._options, endpoint._runtime, endpoint._base.origin);
    endpoint._onRenewed = () => this._connection && this._open(this._connection._kind);
  }

  /**
   * Opens a connection. The present one stays until the new one is open.
   * @param {TransportName} [kind]
   */
  async _open(kind = this._choice._initial) {
    const generation = ++this.#generation;
    this.#cancel('retry', 'open');
    this.#opening?._close();
    this.#opening = undefined;
    if (!this._connection && this._status.state !== 'connecting') this.#report('connecting', this._status.cause);
    try {
      await this._endpoint._authorize();
    } catch (error) {
      if (generation !== this.#generation) return;
      this._emit('settled');
      return this.#scheduleRetry(/** @type {EnckeError} */ (error));
    }
    if (generation !== this.#generation) return;
    const connection = this.#opening = new Connection(kind, this._endpoint, () => this.#query(), this);
    // A poll in flight would take the session back from the new connection.
    this._connection?._suspend();
    // A request has a limit of its own. A WebSocket or an EventSource has none.
    this.#timers.open = setTimeout(() => connection._end(failure('held-back')), OPEN_MAX_MS);
  }

  /** Goes back to an earlier place: the messages since then come again. @param {Place} place */
  _rewind({ position, seen }) {
    const kind = this._connection?._kind;
    // The present connection would deliver later messages, and the earlier ones would be dropped.
    this.#drop();
    Object.assign(this._place, { position, seen });
    this._open(kind);
  }

  /** Checks the connection now: the network may be back, or the machine may have slept. */
  _check() {
    const { state } = this._status;
    if (state === 'refused' || state === 'closed' || this.#opening) return;
    if (!this._connection) {
      this.#attempt = 0;
      this._open();
    } else if (this._connection._send) this.#ping(this._connection, WAKE_PING_MAX_MS);
    else this._open(this._connection._kind);
  }

  /** The machine may be on another network now. */
  _networkChanged() {
    this._choice._recall();
    this.#silenceMax = Infinity;
    this._check();
    if (this._connection) this.#upgrade();
  }

  /** The platform reports that there is no network. A connection stays until it proves dead. */
  _offline() {
    if (!this._connection && this._status.state === 'retrying') this.#report('offline', failure('offline')._plain());
    else this._check();
  }

  /** Ends the connections, not the session. @param {State} [state] @param {Cause | null} [cause] */
  _stop(state = 'closed', cause = null) {
    this.#generation += 1;
    // After a refusal, `reconnect()` starts with a new token.
    this.#renewals = 0;
    this.#cancel('retry', 'open', 'watch', 'upgrade');
    this.#opening?._close();
    this.#drop();
    this.#opening = undefined;
    this.#report(state, cause);
  }

  // ---- envelopes ----

  /** @returns {Record<string, string>} */
  #query() {
    const { session, position } = this._place;
    const channels = this._channels();
    return { ...(session && { session }), ...(position && { since: position }), ...(channels && { channels }) };
  }

  /** @param {Connection} connection @param {string} position */
  async _onBatch(connection, position) {
    if (connection === this._connection && position) this._place.position = position;
    // The next poll would take the session back from the connection that is being opened.
    if (this.#opening && connection !== this.#opening) await new Promise((done) => {
      const off = this.on('settled', () => { off(); done(undefined); });
    });
  }

  /** @param {Connection} connection @param {any} envelope */
  _onEnvelope(connection, envelope) {
    const { open, close, id, gap, presence, ok, error } = envelope;
    if (open) return this.#onOpen(connection, open);
    if (close) return this.#onClose(connection, close);
    if (connection !== this._connection) return;
    if (id) {
      this._place.position = id;
      if (!isAfter(id, this._place.seen)) return;
      this._place.seen = id;
      connection._messages += 1;
      this.#fruitless = 0;
      // Presence is numbered in the same order as messages.
      this._emit(presence ? 'presence' : 'message', presence ?? envelope);
    } else if (gap) {
      if (gap.to) this._place.position = gap.to;
      this._emit('gap', gap);
    } else if ((ok && !('ping' in ok)) || error) this._emit('answer', envelope);
  }

  /** @param {Connection} connection @param {any} open */
  #onOpen(connection, { session, position, heartbeat, grace }) {
    if (connection !== this.#opening) return;
    this.#cancel('open', 'retry');
    const old = this._connection;
    const place = this._place;
    this._connection = connection;
    this.#opening = undefined;
    connection._openedAt = Date.now();
    this._emit('settled');
    // Messages still on their way to the old connection come again through the new one.
    old?._close();
    if (old) this._emit('down', old);
    this.#attempt = this.#renewals = 0;
    this.#heartbeat = heartbeat ?? this.#heartbeat;
    const fresh = session !== place.session;
    place.session = session;
    place.grace = grace ?? place.grace;
    place.heartbeat = this.#heartbeat;
    // If the query named a position, only messages and gaps move it: a cut now loses neither.
    if (!connection._query.since) place.position = position;
    if (old?._kind !== connection._kind) this._choice._recordSuccess(connection._kind, connection._openedAt - connection._createdAt);
    this.#reportOpen();
    this.#watch();
    this._emit('open', { fresh, query: connection._query });
    this.#upgrade();
  }

  /**
   * @param {Connection} connection
   * @param {{ code: string, reconnect?: boolean, after?: number, node?: string }} close
   */
  #onClose(connection, { code, reconnect, after = 0, node }) {
    if (connection !== this._connection && connection !== this.#opening) return;
    if (code === 'recycle') return void this._open(connection._kind);
    const isReplaced = code === 'replaced';
    // The connection that is being opened has replaced it; its `open` is still on the way.
    if (isReplaced && this.#opening && connection === this._connection) return this.#drop();
    connection._close();
    if (connection === this.#opening) {
      this.#opening = undefined;
      this._emit('settled');
    } else this.#drop();
    // An older request of our own may have overtaken a young connection. Otherwise another client
    // has the session now.
    const isOvertaken = isReplaced && Date.now() - (connection._openedAt || Date.now()) < YOUNG_MS && ++this.#fruitless < FRUITLESS_MAX;
    if (isOvertaken) return void this._open(connection._kind);
    if (node && this._endpoint._follow(node)) return void this._open(connection._kind);
    if (!LASTING.includes(code)) this._place.session = '';
    const error = new EnckeError('server', code, `the server closed the connection: ${code}`, undefined, after);
    if (code === 'expired') return this.#onUnauthorized(error);
    if (reconnect || isReplaced) return this.#scheduleRetry(error);
    this.#refuse(error);
  }

  // ---- failures ----

  /** @param {Connection} connection @param {EnckeError | undefined} error */
  async _onEnd(connection, error) {
    const kind = connection._kind;
    if (connection === this._connection) return this.#onCut(connection, error);
    if (connection !== this.#opening) return;
    this.#cancel('open');
    const generation = this.#generation;
    // WebSocket and EventSource give no reason, and silence has many: a plain request finds out.
    if (!error || error.code === 'held-back') error = await this.#diagnose(kind, error);
    if (generation !== this.#generation) return;
    this.#opening = undefined;
    this._emit('settled');
    if (this.#isHandled(error)) return;
    // If the same transport worked a moment ago, it is not blocked: the connection was cut.
    if (error.kind !== 'middlebox' || kind === this._connection?._kind) return this.#scheduleRetry(error);
    this._choice._recordFailure(kind, error.code);
    if (this._connection) return this.#reportOpen();
    if (kind === this._choice._fallback) return this.#scheduleRetry(error);
    this._open(this._choice._fallback);
  }

  /** @param {Connection} connection @param {EnckeError} [error] */
  #onCut(connection, error = failure('cut')) {
    this.#drop();
    if (this.#opening || this.#isHandled(error)) return;
    const { _kind: kind, _openedAt: openedAt } = connection;
    const lived = Date.now() - openedAt;
    // A connection cut before the first heartbeat has not shown that it survives silence.
    this.#fruitless = !connection._messages && (lived < this.#heartbeat || error.code === 'silent') ? this.#fruitless + 1 : 0;
    if (connection._send) this.#learnSilence(Date.now() - connection._heardAt);
    if (this.#fruitless >= FRUITLESS_MAX && kind !== this._choice._fallback) {
      this.#fruitless = 0;
      this._choice._recordFailure(kind, error.code);
      // To a proxy both are one endless response.
      if (kind === 'stream' && this._choice._allowed.includes('sse')) this._choice._recordFailure('sse', error.code);
    }
    this.#scheduleRetry(error, lived < YOUNG_MS ? undefined : Math.random() * RECONNECT_SPREAD_MS);
  }

  /**
   * A socket was cut after a silence. Two cuts after the same silence mean that a proxy cuts silent
   * sockets; pings prevent the next cut.
   * @param {number} silence milliseconds
   */
  #learnSilence(silence) {
    if (silence > YOUNG_MS && silence < this.#heartbeat && Math.abs(silence - this.#lastSilence) < SAME_SILENCE_MS) this.#silenceMax = silence * PING_AT_PART;
    this.#lastSilence = silence;
  }

  /** Handles the errors after which a retry as before changes nothing. @param {EnckeError} error */
  #isHandled(error) {
    const { kind, code, status } = error;
    // The library infers a refused origin: it counts when found twice.
    const found = kind === 'middlebox' ? this._choice._allowed.length === 1 : this._status.cause?.code === code;
    if (kind === 'auth') this.#onUnauthorized(error);
    else if (kind === 'client' || (code === ORIGIN_REFUSED && status && found)) this.#refuse(error);
    else return false;
    return true;
  }

  /** Names the variable that decides, where the server did not. @param {EnckeError} error */
  #refuse(error) {
    const cause = error._plain();
    if (/token|user|expired/.test(cause.code) && !cause.reason.includes('ENCKE_')) cause.reason += ' (ENCKE_TOKEN_KEY)';
    this._stop('refused', cause);
  }

  /**
   * Why a transport failed.
   * @param {TransportName} kind
   * @param {EnckeError} [error]
   * @returns {Promise<EnckeError>}
   */
  async #diagnose(kind, error) {
    try {
      await this._endpoint._send([PING]);
      const refused = kind === 'ws' && await this._endpoint._socketRefusal();
      if (refused) return new EnckeError('middlebox', refused.code, `${refused.message}; a proxy changes Host`, 403);
      return error ?? failure('blocked');
    } catch (found) {
      return /** @type {EnckeError} */ (found);
    }
  }

  /** @param {EnckeError} error */
  async #onUnauthorized(error) {
    const mayRenew = error.status === 401 || error.code === 'expired';
    if (!mayRenew || !this._endpoint._canRenew || this.#renewals >= RENEWALS_MAX) {
      if (error.code !== 'forbidden' || !this._channels()) return this.#refuse(error);
      // One channel is no longer allowed. Each is requested by itself, so that the others continue.
      this._emit('forbidden');
      return this.#scheduleRetry(error);
    }
    this.#renewals += 1;
    const generation = ++this.#generation;
    this.#report('connecting', error._plain());
    const failed = await this._endpoint._authorize(true).catch((caught) => caught);
    if (generation !== this.#generation) return;
    if (failed) this.#scheduleRetry(failed);
    else this._open();
  }

  /** @param {EnckeError} error @param {number} [wait] milliseconds; without it, the backoff */
  #scheduleRetry(error, wait) {
    const { code, _after: after } = error;
    const ms = (PACED.includes(code) ? after : undefined) ?? wait ?? (after ?? 0) + backoff(this.#attempt);
    this.#attempt += 1;
    // The balancer knows best which node is there.
    this._endpoint._base = this._endpoint._home;
    this.#cancel('retry');
    this.#timers.retry = setTimeout(() => this._open(), ms);
    const isOffline = /** @type {any} */ (globalThis).navigator?.onLine === false;
    // Without a network the connection may be dead without knowing.
    this.#report(isOffline ? 'offline' : this._connection ? 'degraded' : 'retrying', error._plain(), Date.now() + ms);
  }

  #drop() {
    const connection = this._connection;
    if (!connection) return;
    this._connection = undefined;
    this.#cancel('watch', 'upgrade');
    connection._close();
    this._emit('down', connection);
  }

  // ---- watching ----

  /**
   * Checks when the connection will have been silent for too long. Timers of hidden pages fire
   * late: the clock decides.
   */
  #watch() {
    this.#cancel('watch');
    const connection = this._connection;
    // Pages do not see the heartbeats of sse and ws: the one is reopened, the other pinged. Polls
    // have a limit of their own.
    /** @type {Partial<Record<TransportName, number>>} */
    const limits = { ws: Math.min(this.#heartbeat, this.#silenceMax), sse: 2 * this.#heartbeat, stream: this.#heartbeat + HEARTBEAT_SLACK_MS };
    const limit = connection && limits[connection._kind];
    if (!limit) return;
    const due = connection._heardAt + limit - Date.now();
    if (due > 0) this.#timers.watch = unrefTimeout(() => this.#watch(), due);
    else if (connection._send) this.#ping(connection, Math.min(HEARTBEAT_SLACK_MS, this.#silenceMax));
    else if (connection._kind === 'stream') connection._end(failure('silent'));
    else this._open(connection._kind);
  }

  /** @param {Connection} connection @param {number} limit milliseconds for the answer */
  #ping(connection, limit) {
    const at = Date.now();
    connection._send?.(PING);
    this.#cancel('watch');
    this.#timers.watch = unrefTimeout(() => {
      if (connection._heardAt < at) connection._end(failure('silent'));
      else this.#watch();
    }, limit);
  }

  // ---- upgrades ----

  /** Probes better transports in the background. Moves to the first that delivers data. */
  async #upgrade() {
    if (this.#isProbing) return;
    this.#isProbing = true;
    this.#cancel('upgrade');
    let passed;
    for (let kind = this.#better(); kind && !passed; kind = this.#better()) {
      const error = await probe(kind, this._endpoint).then(() => {}, (caught) => this.#diagnose(kind, caught));
      if (!error) passed = kind;
      // While the server cannot be reached, the failure says nothing about this transport.
      else if (!this._connection || error.kind !== 'middlebox') break;
      else this._choice._recordFailure(kind, error.code);
    }
    this.#isProbing = false;
    const better = this.#better();
    if (passed && passed === better && !this.#opening) this._open(passed);
    // A connection in doubt stays `degraded` until the retry.
    if (!this.#opening && !this._status.at) this.#reportOpen();
    const wait = Math.min(this._choice._nextRetryAt - Date.now(), better ? PROBE_AGAIN_MS : Infinity);
    if (!passed && this._connection && wait < Infinity) this.#timers.upgrade = unrefTimeout(() => this.#upgrade(), Math.max(wait, 1000));
  }

  #better() { return this._connection && this._choice._better(this._connection._kind)[0]; }

  // ---- status ----

  #reportOpen() {
    if (!this._connection) return;
    const kind = this._connection._kind;
    const worst = kind === this._choice._fallback && kind !== this._choice._allowed[0] && !this.#better();
    const cause = worst ? new EnckeError('middlebox', 'only-polling', this._choice._explain(kind))._plain() : null;
    this.#report(worst ? 'degraded' : 'live', cause);
  }

  /** @param {State} state @param {Cause | null} cause @param {number} [at] of the next attempt */
  #report(state, cause, at) {
    const kind = this._connection?._kind;
    const why = this._choice._explain(kind);
    this._status = { state, cause, transport: kind ?? null, why, tried: this._choice._tried, at };
    const reported = `${[state, kind, why, at, cause?.code]}`;
    if (reported !== this.#reported) this._emit('status', this._status);
    this.#reported = reported;
  }

  /** @param {('retry' | 'open' | 'watch' | 'upgrade')[]} names */
  #cancel(...names) {
    for (const name of names) clearTimeout(this.#timers[name]);
  }
}

/** Codes of `close` after which the session goes on. */
const LASTING = ['drain', 'moved', 'elsewhere', 'busy'];
/** Those of them whose `after` spreads clients over time. */
const PACED = ['drain', 'busy'];
/** How late a heartbeat may be. */
const HEARTBEAT_SLACK_MS = 5_000;
/** Silences that differ by less have the same cause. */
const SAME_SILENCE_MS = 1_000;
/** The part of a deadly silence after which a ping is sent. */
const PING_AT_PART = 0.6;
/** Time for the answer to a ping after the machine slept. */
const WAKE_PING_MAX_MS = 3_000;
/** A connection that is cut earlier may never have worked. */
const YOUNG_MS = 2_000;
/**
 * Pause after the cut of a connection that worked: random, so that not all clients return at once.
 */
const RECONNECT_SPREAD_MS = 300;
/** Pause before probing again when the server could not be reached. */
const PROBE_AGAIN_MS = 5_000;
/** Fruitless connections in a row, after which the transport is given up for a while. */
const FRUITLESS_MAX = 3;
/** Tokens in a row that the server rejects, before the user is refused. */
const RENEWALS_MAX = 2;
