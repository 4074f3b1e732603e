/**
 * What goes up: commands in the order in which they were given, one batch in flight.
 *
 * Publishes are carried out once each: every one has a key that the server remembers for the session grace, so that one whose
 * answer was lost is sent again. Where the server cannot remember it any more, the publish fails with `outcome-unknown`
 * rather than being doubled. Does not know what the commands mean.
 *
 * @import { Link } from './link.js'
 * @import { Pipe } from './pipes.js'
 */
import { EnckeError, backoff, epochOf } from './base.js';

/**
 * @typedef {object} Command
 * @property {string} text JSON
 * @property {'publish' | 'subscription'} sort
 * @property {(answer: any) => void} answered with `{ok}`, or `{error}`
 * @property {number} [sentAt] when it was sent first
 * @property {string} [epoch] the server's run then
 */

/** The queue of one link. */
export class Uplink {
  /** @type {Command[]} */
  #queue = [];
  /** @type {{ commands: Command[], at: number, by: Pipe | undefined } | undefined} what is not answered yet; `by` a pipe, or by POST */
  #flight;
  #failures = 0;
  /** @type {any} */
  #timer;

  /** @param {Link} link @param {number} [grace] milliseconds for which keys are remembered, if not as the server says */
  constructor(link, grace) {
    this.link = link;
    this.grace = grace;
    link.on('answer', (answer) => this.#answered(answer));
    link.on('down', (pipe) => this.#flight?.by === pipe && this.#again());
  }

  /** @param {Command} command */
  add(command) {
    this.#queue.push(command);
    // What is given in one turn goes in one batch.
    queueMicrotask(() => this.flush());
  }

  /** These are sent before what waits: a page is to get what it publishes to a channel that it has. @param {Command[]} commands */
  first(commands) { this.#queue.unshift(...commands); }

  /** Forgets what was said about the subscriptions of a session that is over. */
  forgetSubscriptions() {
    this.#again();
    this.#queue = this.#queue.filter(({ sort, sentAt }) => sort === 'publish' || sentAt === undefined);
  }

  /** The server will not have us: no publish is kept waiting. @param {any} error */
  refuse(error) {
    const publishes = this.#take(() => true);
    for (const { sentAt, answered } of publishes) answered({ error: sentAt === undefined ? error : UNKNOWN });
  }

  /** Takes publishes out of the queue. @param {(command: Command) => boolean} which */
  #take(which) {
    const taken = this.#queue.filter((command) => command.sort === 'publish' && which(command));
    this.#queue = this.#queue.filter((command) => !taken.includes(command));
    return taken;
  }

  /** Ends. What has no answer is another leader's matter: the tabs know what they asked. */
  stop() {
    clearTimeout(this.#timer);
    this.#flight = undefined;
    this.#queue = [];
  }

  /** Sends the next batch, if the link is there and nothing is in flight. */
  flush() {
    const { pipe, place } = this.link;
    if (this.#flight || !pipe) return;
    this.#giveUp();
    const commands = this.#batch();
    if (!commands.length) return;
    clearTimeout(this.#timer);
    const at = Date.now();
    for (const command of commands) {
      command.sentAt ??= at;
      command.epoch ??= epochOf(place.position);
    }
    this.#flight = { commands, at, by: pipe.up && pipe };
    const texts = commands.map(({ text }) => text);
    if (pipe.up) pipe.up(`[${texts.join(',')}]`);
    else this.#post(texts);
  }

  /** Fails the publishes that may have been carried out, and that the server would not know again. */
  #giveUp() {
    const { position, grace: told = GRACE } = this.link.place;
    const grace = this.grace ?? told - Math.min(told / 4, MARGIN);
    const lost = this.#take(({ sentAt, epoch }) => sentAt !== undefined && (Date.now() - sentAt > grace || epoch !== epochOf(position)));
    for (const { answered } of lost) answered({ error: UNKNOWN });
  }

  #batch() {
    let chars = 0;
    let n = 0;
    while (n < this.#queue.length && n < BATCH && (!n || chars + this.#queue[n].text.length < BATCH_CHARS)) {
      chars += this.#queue[n].text.length;
      n += 1;
    }
    return this.#queue.splice(0, n);
  }

  /** @param {string[]} texts */
  async #post(texts) {
    const flight = this.#flight;
    try {
      const answers = await this.link.way.send(texts, this.link.place.session);
      this.#failures = 0;
      for (const answer of answers) if (flight === this.#flight) this.#answered(answer);
    } catch (caught) {
      if (flight === this.#flight) this.#failed(/** @type {EnckeError} */ (caught));
    }
  }

  /** @param {any} answer */
  #answered(answer) {
    const command = this.#flight?.commands.shift();
    if (!command) return;
    if (NOT_NOW.includes(answer.error?.code)) this.#queue.unshift(command);
    else command.answered(answer);
    if (this.#flight?.commands.length) return;
    this.#flight = undefined;
    if (NOT_NOW.includes(answer.error?.code)) this.#later(undefined);
    else this.flush();
  }

  /** A whole batch was refused or lost. @param {EnckeError} error */
  #failed(error) {
    const { commands, at } = /** @type {{ commands: Command[], at: number }} */ (this.#flight);
    // A refusal of the whole batch carried nothing out.
    const refused = error.status && error.code !== 'gateway' && error.kind !== 'middlebox';
    if (refused) for (const command of commands) if (command.sentAt === at) command.sentAt = command.epoch = undefined;
    if (error.kind !== 'client') {
      this.#again();
      // Too late for those that were told.
      const { state, cause } = this.link.status;
      if (state === 'refused') return this.refuse(cause);
      // The connection down finds out what is the matter, and says so.
      if (error.status === 401 || error.kind === 'network') this.link.nudge();
      return this.#later(error.after);
    }
    this.#flight = undefined;
    for (const command of commands) command.answered({ error: error.plain() });
    this.flush();
  }

  /** What was in flight goes first when there is a way again. */
  #again() {
    this.#queue.unshift(...(this.#flight?.commands ?? []));
    this.#flight = undefined;
  }

  /** @param {number} [after] milliseconds */
  #later(after = 0) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), after + backoff(this.#failures));
    this.#failures += 1;
  }
}

/** It cannot be known any more whether a publish was taken. */
const UNKNOWN = { kind: 'server', code: 'outcome-unknown', reason: 'it was sent; whether it was taken cannot be known' };
/** How long keys are remembered by a server that does not say; and so much less counts, for what is on its way. Milliseconds. */
const GRACE = 60_000;
const MARGIN = 5_000;
/** Refusals that only mean: not now. */
const NOT_NOW = ['busy', 'under-way'];
/** Commands in a batch; the server takes 1,000. */
const BATCH = 100;
/** Characters of a batch; the server takes 1 MiB, and a character may be three bytes. */
const BATCH_CHARS = 200_000;
