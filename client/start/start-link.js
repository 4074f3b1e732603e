/**
 * One user's connection to the server: an event stream, or a WebSocket if other tabs hold too many
 * streams; `send` for commands; and a reconnect that resumes.
 *
 * It knows nothing of the page. It does not use EventSource's own retry, which gives up for good on
 * any HTTP error, and reports neither the time of the next attempt nor the cause. Invariant: at most
 * one stream or one wait at a time, and the position always comes from the server.
 */

const HISTORY = 20;
/** First wait before a reconnect, and the longest; doubled each time, half of it at random. Milliseconds. */
const BACKOFF = { first: 500, longest: 15_000 };
/** How long the node may take to answer a health check, and a command. Milliseconds. */
const PATIENCE = { health: 2_000, send: 10_000 };
/** How long a pane shows a gap although it is live again. Milliseconds. */
const GAP_SHOWN = 8_000;
/** What a gap means to a reader. */
export const GAP_WORDS = 'The server was restarted, or this page was away for too long: messages in between may be missing here.';
/** Why the server closes a stream, in words. An unknown code is shown as it is. */
const CLOSE_WORDS = {
  replaced: 'another connection took this session over',
  closed: 'this page closed the session',
  ended: 'a backend ended the session',
  expired: 'the token has expired',
  'too-many-sessions': 'this user has more sessions than allowed',
  drain: 'it is shutting down',
  recycle: 'it recycles long responses',
};

/**
 * @typedef {'wait' | 'live' | 'warn' | 'down' | 'idle'} Tone
 * @typedef {{ word: string, tone: Tone, detail: string }} Status
 * @typedef {{ session: string, position: string, resumed?: boolean, heartbeat?: number, transport?: string }} Open
 * @typedef {{ id: string, channel: string, from?: string, data: unknown }} Message
 * @typedef {{ onstatus: (s: Status) => void, onopen: (o: Open) => void, onmessage: (m: Message) => void,
 *   ongap: (g: { from?: string, to?: string }) => void, onraw: (arrow: string, text: string) => void }} Listener
 */

/** One user's connection. It resumes at its last position. */
export class Link {
  /** @param {string} user @param {string} channel @param {Listener} listener */
  constructor(user, channel, listener) {
    this.user = user;
    this.channel = channel;
    this.listener = listener;
    /** @type {EventSource | WebSocket | null} */
    this.source = null;
    /** @type {'sse' | 'ws'} */
    this.transport = 'sse';
    this.session = '';
    this.position = '';
    this.attempt = 0;
    this.connections = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.countdown = undefined;
    /** Incremented by every connect and disconnect, so that a pending callback sees that it is outdated. */
    this.course = 0;
  }

  /** Opens a stream now, in place of the current stream or wait. */
  connect() {
    this.drop();
    const what = this.transport === 'sse' ? 'an event stream' : 'a WebSocket';
    this.status('Connecting', 'wait', this.attempt ? `Attempt ${this.attempt}.` : `Opening ${what}.`);
    if (this.transport === 'sse') {
      const source = this.source = new EventSource(this.url());
      source.onmessage = (event) => this.took(event.data);
      source.onerror = () => this.failed(source.readyState === EventSource.CLOSED);
    } else {
      const socket = this.source = new WebSocket(new URL(this.url(), location.href.replace(/^http/, 'ws')), ['encke.v1']);
      socket.onmessage = (event) => socket === this.source && this.took(event.data);
      // A page cannot see whether the handshake was refused.
      socket.onclose = () => socket === this.source && this.failed(false);
    }
  }

  /** Closes the connection. The server keeps the session and its messages. */
  cut() {
    this.drop();
    this.attempt = 0;
    this.status('Cut', 'idle', 'You cut the connection. The server keeps the session and its place for a while.');
  }

  /** Asks the server to end the session: the page is going away. */
  leave() {
    this.drop();
    if (!this.session) return;
    const url = `/u/${this.user}/send?session=${encodeURIComponent(this.session)}`;
    navigator.sendBeacon(url, new Blob(['{"close":true}'], { type: 'application/json' }));
    this.session = '';
  }

  /**
   * Sends one command; resolves when the server has accepted it, rejects with a reason for people.
   * @param {object} command
   */
  async send(command) {
    const body = JSON.stringify(command);
    this.listener.onraw('↑', body);
    const response = await fetch(`/u/${this.user}/send`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
      signal: AbortSignal.timeout(PATIENCE.send),
    }).catch((e) => {
      throw new Error(e.name === 'TimeoutError' ? 'the server did not answer in time' : 'the server cannot be reached');
    });
    const text = await response.text();
    this.listener.onraw('↩', text);
    const answer = [parsed(text)].flat()[0];
    if (response.ok && !answer?.error) return;
    throw new Error(answer?.error?.reason ?? `the server answered ${response.status}`);
  }

  url() {
    const query = new URLSearchParams({ channels: this.channel });
    if (this.position) query.set('since', this.position);
    else query.set('last', String(HISTORY));
    if (this.session) query.set('session', this.session);
    return `/u/${this.user}/${this.transport}?${query.toString().replaceAll('%2F', '/')}`;
  }

  /** @param {string} text */
  took(text) {
    this.listener.onraw('↓', text);
    const envelope = parsed(text);
    if (envelope?.open) this.opened(envelope.open);
    else if (envelope?.gap) this.missed(envelope.gap);
    else if (envelope?.close) this.closed(envelope.close);
    else if (envelope?.id) {
      this.position = envelope.id;
      this.listener.onmessage(envelope);
    }
  }

  /** @param {Open} open */
  opened(open) {
    this.attempt = 0;
    this.connections += 1;
    this.session = open.session;
    // A resumed stream continues from our position; messages after it follow.
    if (!open.resumed || !this.position) this.position = open.position;
    this.live(open.resumed ? 'Resumed where it left off' : 'A new session');
    this.listener.onopen(open);
  }

  /** @param {{ from?: string, to?: string }} gap */
  missed(gap) {
    if (gap.to) this.position = gap.to;
    this.status('Connected, with a gap', 'warn', 'Messages in between may be missing.');
    const course = this.course;
    setTimeout(() => course === this.course && this.live('Continued after a gap'), GAP_SHOWN);
    this.listener.ongap(gap);
  }

  /** @param {{ code: string, reconnect?: boolean, after?: number }} close */
  closed(close) {
    this.drop();
    const why = `The server closed the stream: ${CLOSE_WORDS[close.code] ?? close.code}.`;
    if (close.reconnect === false) {
      this.session = '';
      this.status('Closed by the server', 'down', `${why} It asks this page not to reconnect automatically.`);
      return;
    }
    this.wait('Closed by the server', 'warn', close.after ?? 0, (s) => `${why} It asks this page to reconnect after ${s} s.`);
  }

  /**
   * The stream broke. The event has no cause, so this asks the node.
   * @param {boolean} refused whether the browser gave up, as it does on an HTTP error
   */
  async failed(refused) {
    const url = this.url();
    this.drop();
    const course = this.course;
    this.status('Retrying', 'warn', 'The connection was lost. Checking the server.');
    const [word, tone, why] = await diagnosis(refused ? url : '');
    if (course !== this.course) return;
    // If the server refused the session, the position alone still resumes.
    if (refused) this.session = '';
    this.attempt += 1;
    const most = Math.min(BACKOFF.longest, BACKOFF.first * 2 ** (this.attempt - 1));
    this.wait(word, tone, most / 2 + (Math.random() * most) / 2, (s) => `${why} Attempt ${this.attempt} in ${s} s.`);
  }

  /** @param {string} word @param {Tone} tone @param {number} ms @param {(seconds: string) => string} detail */
  wait(word, tone, ms, detail) {
    const due = performance.now() + ms;
    const tick = () => {
      const left = due - performance.now();
      if (left <= 0) this.connect();
      else this.status(word, tone, detail((left / 1000).toFixed(1)));
    };
    this.countdown = setInterval(tick, 100);
    tick();
  }

  /** @param {string} how */
  live(how) {
    this.status('Connected', 'live', `${how}, ${clock()}.`);
  }

  /** Closes the stream and cancels a wait. */
  drop() {
    this.course += 1;
    clearInterval(this.countdown);
    this.source?.close();
    this.source = null;
  }

  /** @param {string} word @param {Tone} tone @param {string} detail */
  status(word, tone, detail) {
    this.listener.onstatus({ word, tone, detail });
  }
}

/**
 * Finds out why a stream ended.
 * @param {string} refusedUrl the stream's URL if the server may have refused it, else empty
 * @returns {Promise<[string, Tone, string]>}
 */
async function diagnosis(refusedUrl) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE.health);
  try {
    const health = await fetch('/health', { cache: 'no-store', signal: stop.signal });
    if (!health.ok) return ['Retrying', 'warn', 'The server accepts no new clients at the moment.'];
    if (!refusedUrl) return ['Retrying', 'warn', 'The connection was lost; the server is running.'];
    const response = await fetch(refusedUrl, { cache: 'no-store', signal: stop.signal });
    if (response.ok) return ['Retrying', 'warn', 'The connection was lost; the server is running.'];
    const error = parsed(await response.text())?.error;
    const hint = response.status === 401 ? ' (ENCKE_TOKEN_KEY is set; this page sends no token)' : '';
    const reason = `${error?.reason ?? 'no reason given'}${hint}`;
    return ['Retrying', 'down', `The server refused the stream (${response.status}): ${reason}.`];
  } catch {
    return ['Server unreachable', 'down', 'The server cannot be reached.'];
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** @param {string} text @returns {any} the value, or undefined when it is not JSON */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The time of day, to the second. */
export function clock() {
  return new Date().toTimeString().slice(0, 8);
}
