/**
 * The connection of one session: opens a pipe, watches it, comes back after cuts, and moves to better ones.
 *
 * Knows nothing of subscriptions, publishes and tabs. It keeps that no message is lost or doubled: every pipe goes on from
 * the place that was reached, and what comes twice is dropped by its position. At most one pipe is open and one opening.
 *
 * @import { Cause, Place, State, Status, TransportName } from '../encke.js'
 * @import { Way } from './way.js'
 */
import { EnckeError, Emitter, backoff, isAfter, later } from './base.js';
import { Choice } from './choice.js';
import { OPEN_LIMIT, Pipe, probe } from './pipes.js';
import { ORIGIN_REFUSED } from './way.js';

/**
 * Emits `status`, `open` ({ fresh, since }), `message`, `gap`, `presence`, `answer` (of a command sent up a pipe) and `down`.
 */
export class Link extends Emitter {
  /** @type {Pipe | undefined} what messages come through */
  pipe;
  /** @type {Pipe | undefined} what is being opened */
  next;
  /** @type {Status} */
  status = { state: 'connecting', cause: null, transport: null, why: '', tried: [] };
  /** Failed attempts since the last that succeeded. */
  #attempt = 0;
  /** Pipes in a row that brought no message and did not last for a heartbeat, or fell silent. */
  #barren = 0;
  /** The silence after which the last socket was cut, and that which a socket may keep because of it. Milliseconds. */
  #hush = 0;
  #lull = Infinity;
  /** New tokens since something last worked. */
  #renewals = 0;
  /** Grows with each change of course, so that what was awaited meanwhile can see that it is out of date. */
  #course = 0;
  /** @type {Record<'retry' | 'open' | 'watch' | 'climb', any>} */
  #timers = { retry: 0, open: 0, watch: 0, climb: 0 };
  #heartbeat = 25_000;
  /** What makes a status another one. */
  #said = '';
  /** @type {'idle' | 'probing'} */
  #climbing = 'idle';

  /** @param {Way} way @param {Place} place @param {() => string} channels those that a new session is to begin with */
  constructor(way, place, channels) {
    super();
    this.way = way;
    /** Where we are: the session, the position to go on from, and the last message that was handed on. */
    this.place = { ...place };
    this.channels = channels;
    this.choice = new Choice(way.options, way.runtime, way.base.origin);
    way.onrenewed = () => this.pipe && this.open(this.pipe.kind);
  }

  /** Opens a pipe; what is open goes on until this one is. @param {TransportName} [kind] */
  async open(kind = this.choice.first) {
    const course = ++this.#course;
    this.#clear('retry', 'open');
    this.next?.close();
    this.next = undefined;
    if (!this.pipe && this.status.state !== 'connecting') this.#say('connecting', this.status.cause);
    try {
      await this.way.authorize();
    } catch (error) {
      if (course !== this.#course) return;
      this.emit('settled');
      return this.#retry(/** @type {EnckeError} */ (error));
    }
    if (course !== this.#course) return;
    const pipe = new Pipe(kind, this.way, () => this.#query(), {
      took: (from, envelope) => this.#took(from, envelope),
      reached: (from, position) => this.#reached(from, position),
      ended: (from, error) => this.#ended(from, error),
    });
    this.next = pipe;
    // A poll that is still on its way would take the session back from what is opened now.
    this.pipe?.rest();
    const begun = Date.now();
    pipe.openedAt = 0;
    this.begun = begun;
    // A request has a limit of its own; what the platform opens has none.
    this.#timers.open = setTimeout(() => pipe.end(new EnckeError('middlebox', 'held-back', 'nothing came in time')), OPEN_LIMIT);
  }

  /** Goes back to an earlier place, so that what came since comes again. @param {Place} place */
  rewind({ position, seen }) {
    const kind = this.pipe?.kind;
    // What is open would go on with later messages, and the earlier ones then be dropped.
    this.#drop();
    Object.assign(this.place, { position, seen });
    this.open(kind);
  }

  /** Something happened that makes it worth while to look: the network is back, the machine woke up. */
  nudge() {
    if (this.status.state === 'refused' || this.status.state === 'closed' || this.next) return;
    if (!this.pipe) {
      this.#attempt = 0;
      this.open();
    } else if (this.pipe.up) this.#ping(this.pipe, AWAKE_LIMIT);
    else this.open(this.pipe.kind);
  }

  /** There may be another network now. */
  networkChanged() {
    this.choice.recall();
    this.#lull = Infinity;
    this.nudge();
    if (this.pipe) this.#climb();
  }

  /** The platform says that there is no network. What is open stays until it is found dead. */
  offline() {
    if (!this.pipe && this.status.state === 'retrying') this.#say('offline', { kind: 'network', code: 'offline', reason: 'there is no network' });
    else this.nudge();
  }

  /** Ends the pipes, not the session. @param {State} [state] @param {Cause | null} [cause] */
  stop(state = 'closed', cause = null) {
    this.#course += 1;
    // Who is refused and tries again begins with a new token.
    this.#renewals = 0;
    this.#clear('retry', 'open', 'watch', 'climb');
    this.next?.close();
    this.#drop();
    this.next = undefined;
    this.#say(state, cause);
  }

  // ---- what comes ----

  /** @returns {Record<string, string>} */
  #query() {
    const { session, position } = this.place;
    const channels = this.channels();
    return { ...(session && { session }), ...(position && { since: position }), ...(channels && { channels }) };
  }

  /** Resolves when the pipe may ask again. @param {Pipe} pipe @param {string} position */
  async #reached(pipe, position) {
    if (pipe === this.pipe && position) this.place.position = position;
    // A poll that overtook what is being opened would take the session back from it.
    if (this.next && pipe !== this.next) await new Promise((done) => {
      const off = this.on('settled', () => { off(); done(undefined); });
    });
  }

  /** @param {Pipe} pipe @param {any} envelope */
  #took(pipe, envelope) {
    if (envelope.open) return this.#opened(pipe, envelope.open);
    if (envelope.close) return this.#closed(pipe, envelope.close);
    if (pipe !== this.pipe) return;
    if (envelope.id) {
      this.place.position = envelope.id;
      if (!isAfter(envelope.id, this.place.seen)) return;
      this.place.seen = envelope.id;
      pipe.messages += 1;
      this.#barren = 0;
      // Who is there stands in the one order, too.
      this.emit(envelope.presence ? 'presence' : 'message', envelope.presence ?? envelope);
    } else if (envelope.gap) {
      if (envelope.gap.to) this.place.position = envelope.gap.to;
      this.emit('gap', envelope.gap);
    } else if ((envelope.ok && !('ping' in envelope.ok)) || envelope.error) this.emit('answer', envelope);
  }

  /** @param {Pipe} pipe @param {any} open */
  #opened(pipe, open) {
    if (pipe !== this.next) return;
    this.#clear('open', 'retry');
    const old = this.pipe;
    this.pipe = pipe;
    this.next = undefined;
    pipe.openedAt = Date.now();
    this.emit('settled');
    // Its last messages, should there be any on the way, come again through the new one.
    old?.close();
    if (old) this.emit('down', old);
    this.#attempt = this.#renewals = 0;
    this.#heartbeat = open.heartbeat ?? this.#heartbeat;
    const fresh = open.session !== this.place.session;
    const since = pipe.asked.since;
    this.place.session = open.session;
    this.place.grace = open.grace ?? this.place.grace;
    this.place.heartbeat = this.#heartbeat;
    // Where a position was named, only messages and gaps move it: a cut right after this loses neither.
    if (!since) this.place.position = open.position;
    if (old?.kind !== pipe.kind) this.choice.succeeded(pipe.kind, pipe.openedAt - (this.begun ?? 0));
    this.#settled();
    this.#watch();
    this.emit('open', { fresh, since, pipe });
    this.#climb();
  }

  /** @param {Pipe} pipe @param {{ code: string, reconnect?: boolean, after?: number }} close */
  #closed(pipe, { code, reconnect, after = 0 }) {
    if (pipe !== this.pipe && pipe !== this.next) return;
    if (code === 'recycle') return void this.open(pipe.kind);
    const error = new EnckeError('server', code, `the server closed the connection: ${code}`, { after });
    // Replaced by our own next one, which has not spoken yet.
    if (code === 'replaced' && this.next && pipe === this.pipe) return this.#drop();
    pipe.close();
    if (pipe === this.next) {
      this.next = undefined;
      this.emit('settled');
    } else this.#drop();
    // A pipe that is young may have been overtaken by an older request of our own; otherwise it is somebody else's session now.
    const overtaken = code === 'replaced' && Date.now() - (pipe.openedAt || Date.now()) < YOUNG && ++this.#barren < BARREN_MAX;
    if (code !== 'drain' && !overtaken) this.place.session = '';
    if (overtaken) return void this.open(pipe.kind);
    if (code === 'expired') return this.#unauthorized(error);
    if (reconnect || code === 'replaced') return this.#retry(error);
    this.#refuse(error);
  }

  // ---- what ends ----

  /** @param {Pipe} pipe @param {EnckeError | undefined} error */
  async #ended(pipe, error) {
    if (pipe === this.pipe) return this.#cut(pipe, error);
    if (pipe !== this.next) return;
    this.#clear('open');
    const course = this.#course;
    // What the platform opens tells no reason, and silence may have many: the server is asked by the plainest request.
    if (!error || error.code === 'held-back') error = await this.#diagnosis(pipe.kind, error);
    if (course !== this.#course) return;
    this.next = undefined;
    this.emit('settled');
    if (error.kind === 'auth') return this.#unauthorized(error);
    if (this.#isFinal(error)) return this.#refuse(error);
    // What came through a moment ago and does not now was cut off, and what is open is in doubt.
    if (error.kind !== 'middlebox' || pipe.kind === this.pipe?.kind) return this.#retry(error);
    this.choice.strike(pipe.kind, error.code);
    if (this.pipe) return this.#settled();
    if (pipe.kind === this.choice.safe) return this.#retry(error);
    this.open(this.choice.safe);
  }

  /** @param {Pipe} pipe @param {EnckeError} [error] */
  #cut(pipe, error = new EnckeError('network', 'cut', 'the connection was cut')) {
    this.#drop();
    if (this.next) return;
    if (error.kind === 'auth') return this.#unauthorized(error);
    if (this.#isFinal(error)) return this.#refuse(error);
    const lived = Date.now() - pipe.openedAt;
    const young = lived < YOUNG;
    // What was cut before the server's first heartbeat has not shown that it can be silent.
    this.#barren = !pipe.messages && (lived < this.#heartbeat || error.code === 'silent') ? this.#barren + 1 : 0;
    if (pipe.up) this.#hushed(Date.now() - pipe.heardAt);
    if (this.#barren >= BARREN_MAX && pipe.kind !== this.choice.safe) {
      this.#barren = 0;
      // To whatever cuts, both are one response without an end.
      for (const kind of pipe.kind === 'stream' ? this.choice.endless : [pipe.kind]) this.choice.strike(kind, error.code);
    }
    this.#retry(error, young ? undefined : Math.random() * AGAIN);
  }

  /** A socket was cut: twice after the same silence, and it was for the silence. Pings prevent the next. @param {number} silence milliseconds */
  #hushed(silence) {
    if (silence > YOUNG && silence < this.#heartbeat && Math.abs(silence - this.#hush) < ALIKE) this.#lull = silence * LULL_PART;
    this.#hush = silence;
  }

  /** Trying again would change nothing. A refused origin has to be found twice, for it is guessed. @param {EnckeError} error */
  #isFinal({ kind, code, status }) {
    const found = kind === 'middlebox' ? this.choice.allowed.length === 1 : this.status.cause?.code === code;
    return kind === 'client' || (code === ORIGIN_REFUSED && !!status && found);
  }

  /** Tells which variable decides, where the server did not. @param {EnckeError} error */
  #refuse(error) {
    const cause = error.plain();
    if (/token|user|expired/.test(cause.code) && !cause.reason.includes('ENCKE_')) cause.reason += ' (ENCKE_TOKEN_KEY)';
    this.stop('refused', cause);
  }

  /** @param {TransportName} kind @param {EnckeError} [error] @returns {Promise<EnckeError>} */
  async #diagnosis(kind, error) {
    try {
      await this.way.send(['{"ping":0}'], '');
      const refused = kind === 'ws' && await this.way.socketRefused();
      if (refused) return new EnckeError('middlebox', refused.code, `${refused.message}; a proxy changes Host`, { status: 403 });
      return error ?? new EnckeError('middlebox', 'blocked', 'it is not let through');
    } catch (found) {
      return /** @type {EnckeError} */ (found);
    }
  }

  /** @param {EnckeError} error */
  async #unauthorized(error) {
    const code = error.status === 401 || error.code === 'expired';
    if (!code || !this.way.renews || this.#renewals >= RENEWALS_MAX) {
      if (error.code === 'forbidden' && this.channels()) {
        // One of the channels is not allowed any more. Asked for one by one, the others go on.
        this.emit('forbidden');
        return this.#retry(error);
      }
      return this.#refuse(error);
    }
    this.#renewals += 1;
    const course = ++this.#course;
    this.#say('connecting', error.plain());
    try {
      await this.way.authorize(true);
      if (course === this.#course) this.open();
    } catch (failed) {
      if (course === this.#course) this.#retry(/** @type {EnckeError} */ (failed));
    }
  }

  /** Comes back later. @param {EnckeError} error @param {number} [wait] milliseconds; by chance, if none is given */
  #retry(error, wait) {
    const asked = error.code === 'drain' || error.code === 'recycle' ? error.after : undefined;
    const ms = asked ?? wait ?? (error.after ?? 0) + backoff(this.#attempt);
    this.#attempt += 1;
    this.#clear('retry');
    this.#timers.retry = setTimeout(() => this.open(), ms);
    const without = /** @type {any} */ (globalThis).navigator?.onLine === false;
    // What is open may be dead and not know it, where there is no network.
    this.#say(without ? 'offline' : this.pipe ? 'degraded' : 'retrying', error.plain(), Date.now() + ms);
  }

  #drop() {
    const { pipe } = this;
    if (!pipe) return;
    this.pipe = undefined;
    this.#clear('watch', 'climb');
    pipe.close();
    this.emit('down', pipe);
  }

  // ---- watching ----

  /** Looks again when the pipe would be too silent. Compares clocks: timers of hidden pages are late. */
  #watch() {
    this.#clear('watch');
    const { pipe } = this;
    // A long poll is silent by nature and has a limit of its own.
    if (!pipe || pipe.kind === 'longpoll' || pipe.kind === 'poll') return;
    // Events show no heartbeat to pages, sockets none either: the one is opened anew, the other is asked.
    const limit = { ws: Math.min(this.#heartbeat, this.#lull), sse: 2 * this.#heartbeat, stream: this.#heartbeat + SLACK }[pipe.kind];
    const due = pipe.heardAt + limit - Date.now();
    if (due > 0) return void (this.#timers.watch = later(() => this.#watch(), due));
    if (pipe.up) this.#ping(pipe, Math.min(SLACK, this.#lull));
    else if (pipe.kind === 'stream') pipe.end(new EnckeError('network', 'silent', 'nothing is heard'));
    else this.open(pipe.kind);
  }

  /** @param {Pipe} pipe @param {number} limit milliseconds for the answer */
  #ping(pipe, limit) {
    const at = Date.now();
    pipe.up?.('{"ping":0}');
    this.#clear('watch');
    this.#timers.watch = later(() => {
      if (pipe.heardAt < at) pipe.end(new EnckeError('network', 'silent', 'nothing is heard'));
      else this.#watch();
    }, limit);
  }

  // ---- moving up ----

  /** Tries what is better than what is open, in the background; moves when something came through. */
  async #climb() {
    if (this.#climbing !== 'idle') return;
    this.#climbing = 'probing';
    this.#clear('climb');
    try {
      for (let kind = this.#better(); kind; kind = this.#better()) {
        try {
          await probe(kind, this.way);
        } catch (error) {
          // While the server cannot be reached, the failure says nothing about this transport.
          const found = await this.#diagnosis(kind, /** @type {EnckeError | undefined} */ (error));
          if (!this.pipe || found.kind !== 'middlebox') break;
          this.choice.strike(kind, found.code);
          continue;
        }
        if (this.pipe && !this.next && this.#better() === kind) this.open(kind);
        return;
      }
    } finally {
      this.#climbing = 'idle';
      // Not while what is open is in doubt.
      if (!this.next && !this.status.at) this.#settled();
    }
    const wait = Math.min(this.choice.nextTry - Date.now(), this.#better() ? LOOK_AGAIN : Infinity);
    if (this.pipe && wait < Infinity) this.#timers.climb = later(() => this.#climb(), Math.max(wait, 1000));
  }

  #better() { return this.pipe && this.choice.above(this.pipe.kind)[0]; }

  /** Says how it stands with what is open. */
  #settled() {
    if (!this.pipe) return;
    const { kind } = this.pipe;
    const worse = !this.choice.isBest(kind) && !this.choice.above(kind).length && kind === this.choice.safe;
    const cause = worse ? new EnckeError('middlebox', 'only-polling', this.choice.why(kind)).plain() : null;
    this.#say(worse ? 'degraded' : 'live', cause);
  }

  /** @param {State} state @param {Cause | null} cause @param {number} [at] */
  #say(state, cause, at) {
    const transport = this.pipe?.kind ?? null;
    const status = { state, cause, transport, why: this.choice.why(this.pipe?.kind), tried: this.choice.tried };
    this.status = at === undefined ? status : { ...status, at };
    const said = `${[state, transport, status.why, at, cause?.code]}`;
    if (said !== this.#said) this.emit('status', this.status);
    this.#said = said;
  }

  /** @param {('retry' | 'open' | 'watch' | 'climb')[]} names */
  #clear(...names) {
    for (const name of names) clearTimeout(this.#timers[name]);
  }
}

/** A heartbeat may be so late. Milliseconds. */
const SLACK = 5_000;
/** Silences that differ by less have one reason. Milliseconds. */
const ALIKE = 1_000;
/** The part of a silence that was cut, after which a ping goes up. */
const LULL_PART = 0.6;
/** Time for the answer to a ping after a sleep. Milliseconds. */
const AWAKE_LIMIT = 3_000;
/** A pipe that was cut earlier may not have worked at all. Milliseconds. */
const YOUNG = 2_000;
/** Pause after the cut of a pipe that worked: short, and different for each of many. Milliseconds. */
const AGAIN = 300;
/** Pause before a probe that came to nothing because the server could not be reached. Milliseconds. */
const LOOK_AGAIN = 5_000;
/** So many barren pipes in a row, and the transport is given up for a while. */
const BARREN_MAX = 3;
/** So many tokens in a row that the server does not take, and the user is refused. */
const RENEWALS_MAX = 2;
