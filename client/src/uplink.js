/**
 * Commands on their way up: sent in the order in which they were given, one batch in flight.
 *
 * Each publish is carried out once. It has a key, which the server remembers for the session grace,
 * so that a publish whose answer was lost can be sent again. Once the server may have forgotten the
 * key, the publish fails with `outcome-unknown`. Does not know what the commands mean.
 *
 * @import { Link } from './link.js'
 * @import { Connection } from './connections.js'
 */
import { EnckeError, backoff, epochOf, failure } from './base.js';

/**
 * @typedef {object} Command
 * @property {string} _text JSON
 * @property {boolean} [_isPublish]
 * @property {(answer: any) => void} _onAnswer with `{ok}` or `{error}`
 * @property {number} [_sentAt] when it was first sent
 * @property {string} [_epoch] the server's run at that time
 */

/** The queue of one link. */
export class Uplink {
  #link;
  #grace;
  /** @type {Command[]} */
  #queue = [];
  /**
   * The batch without an answer; `by` the connection that sent it, undefined for a POST.
   * @type {{ commands: Command[], at: number, by: Connection | undefined } | undefined}
   */
  #inFlight;
  #failures = 0;
  /** @type {any} */
  #timer;

  /**
   * @param {Link} link
   * @param {number} [grace] how long the server remembers keys, if not as it says. Milliseconds
   */
  constructor(link, grace) {
    this.#link = link;
    this.#grace = grace;
    link.on('answer', (answer) => this.#onAnswer(answer));
    link.on('down', (connection) => this.#inFlight?.by === connection && this.#requeue());
  }

  /** @param {Command} command */
  _add(command) {
    this.#queue.push(command);
    // Commands that are given in one turn go in one batch.
    queueMicrotask(() => this._flush());
  }

  /**
   * Puts subscriptions before the waiting publishes: a page gets its own publishes.
   * @param {Command[]} commands
   */
  _addFirst(commands) { this.#queue.unshift(...commands); }

  /** Drops the subscriptions that were sent to a session that has ended. */
  _dropSubscriptions() {
    this.#requeue();
    this.#queue = this.#queue.filter(({ _isPublish: isPublish, _sentAt: sentAt }) => isPublish || sentAt === undefined);
  }

  /** Rejects all publishes: the server refuses the client. @param {any} error */
  _rejectPublishes(error) { this.#reject(() => true, error); }

  /**
   * Rejects publishes: those that were sent as of unknown outcome.
   * @param {(command: Command) => unknown} which
   * @param {any} [error]
   */
  #reject(which, error) {
    const rejected = this.#queue.filter((command) => command._isPublish && which(command));
    this.#queue = this.#queue.filter((command) => !rejected.includes(command));
    for (const command of rejected) command._onAnswer({ error: command._sentAt === undefined ? error : failure('outcome-unknown')._plain() });
  }

  /** The tabs give their unanswered commands to the next leader. */
  _stop() {
    clearTimeout(this.#timer);
    this.#inFlight = undefined;
    this.#queue = [];
  }

  /** Sends the next batch if there is a connection and no batch in flight. */
  _flush() {
    const { _connection: connection, _place: { position, session, grace = GRACE_MS } } = this.#link;
    if (this.#inFlight || !connection) return;
    const at = Date.now();
    const epoch = epochOf(position);
    // The server may have carried these out, and would not recognize them.
    const limit = at - (this.#grace ?? grace - Math.min(grace / 4, GRACE_MARGIN_MS));
    this.#reject(({ _sentAt: sentAt, _epoch: then }) => sentAt !== undefined && (sentAt < limit || then !== epoch));
    const commands = this.#nextBatch();
    if (!commands.length) return;
    clearTimeout(this.#timer);
    for (const command of commands) {
      command._sentAt ??= at;
      command._epoch ??= epoch;
    }
    this.#inFlight = { commands, at, by: connection._send && connection };
    const texts = commands.map((command) => command._text);
    if (connection._send) connection._send(`[${texts}]`);
    else this.#post(texts, session);
  }

  #nextBatch() {
    let chars = 0;
    const end = this.#queue.findIndex((command, n) => {
      chars += command._text.length;
      return n >= BATCH_LEN_MAX || (n && chars > BATCH_CHARS_MAX);
    });
    return this.#queue.splice(0, end < 0 ? BATCH_LEN_MAX : end);
  }

  /** @param {string[]} texts @param {string} session */
  async #post(texts, session) {
    const batch = this.#inFlight;
    try {
      const answers = await this.#link._endpoint._send(texts, session);
      this.#failures = 0;
      for (const answer of answers) if (batch === this.#inFlight) this.#onAnswer(answer);
    } catch (caught) {
      if (batch === this.#inFlight) this.#onFailure(/** @type {EnckeError} */ (caught));
    }
  }

  /** @param {any} answer */
  #onAnswer(answer) {
    const commands = this.#inFlight?.commands;
    const command = commands?.shift();
    if (!command) return;
    const isBusy = BUSY.includes(answer.error?.code);
    if (isBusy) this.#queue.unshift(command);
    else command._onAnswer(answer);
    if (commands?.length) return;
    this.#inFlight = undefined;
    if (isBusy) this.#flushLater();
    else this._flush();
  }

  /** A whole batch was refused or lost. @param {EnckeError} error */
  #onFailure(error) {
    const { commands, at } = /** @type {{ commands: Command[], at: number }} */ (this.#inFlight);
    const { kind, code, status } = error;
    // If the server refused the whole batch, it carried none of it out.
    if (status && code !== 'gateway' && kind !== 'middlebox') for (const command of commands) if (command._sentAt === at) command._sentAt = command._epoch = undefined;
    if (kind === 'client') {
      this.#inFlight = undefined;
      for (const command of commands) command._onAnswer({ error: error._plain() });
      return this._flush();
    }
    this.#requeue();
    const { state, cause } = this.#link._status;
    if (state === 'refused') return this._rejectPublishes(cause);
    // The link finds out what is wrong and reports it.
    if (status === 401 || kind === 'network') this.#link._check();
    this.#flushLater(error._after);
  }

  /** Puts the batch in flight back to the front of the queue. */
  #requeue() {
    this.#queue.unshift(...(this.#inFlight?.commands ?? []));
    this.#inFlight = undefined;
  }

  /** @param {number} [after] milliseconds */
  #flushLater(after = 0) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this._flush(), after + backoff(this.#failures));
    this.#failures += 1;
  }
}

/** How long a server remembers keys that does not say so, and the part of it left for the way. */
const GRACE_MS = 60_000;
const GRACE_MARGIN_MS = 5_000;
/** Refusals of one command that ask for a retry. */
const BUSY = ['busy', 'under-way'];
/** Commands in a batch; the server takes 1,000. */
const BATCH_LEN_MAX = 100;
/** Characters of a batch; the server takes 1 MiB, and a character may take three bytes. */
const BATCH_CHARS_MAX = 200_000;
