/**
 * One room through two libraries side by side: Ada uses another one, Ben encke.js.
 *
 * Both sides look the same to this page: they publish, and report messages. Each side counts the page's own messages, so
 * that a missing or duplicate one shows.
 */
import { connect } from '/encke.js';
import { GAP_WORDS, avatar, clock, find, make, randomName, text, top, userUrl } from '/demo/common.js';

const CHANNEL = '/demo/chat/bridge';
/** Lines and marks that are kept. */
const KEPT = 200;
const MARKS_KEPT = 5_000;
/** Time after which a message that has not arrived counts as missing. Milliseconds. */
const MISSING = 10_000;
const WORDS = { connecting: 'Connecting', live: 'Connected', retrying: 'Trying again', over: 'Ended' };

/** Messages sent from this page, by mark: the sender, and the time by the page's own clock. @type {Map<string, { by: Side, at: number }>} */
const said = new Map();

/** Sets a mark's value, and drops the oldest beyond the bound. @param {Map<string, any>} marks @param {string} mark @param {any} value */
function remember(marks, mark, value) {
  marks.set(mark, value);
  if (marks.size > MARKS_KEPT) marks.delete(/** @type {string} */ (marks.keys().next().value));
}

/**
 * What reports the messages and the state of a link: the author of a message and its data; and `connecting`, `live`,
 * `retrying`, or `over`, with the reason.
 * @typedef {{ message(from: string, data: any): void, state(state: string, why?: string): void }} Listener
 *
 * A room through Ada's library. `publish` resolves when the server has accepted the data, `close` when the session has ended.
 * @typedef {{ publish(data: any): Promise<void>, close(): Promise<void> }} Link
 */

/** When the last gap was reported. */
let gapAt = 0;

/** One side of the page. */
class Side {
  /** How often each message arrived, by mark. @type {Map<string, number>} */
  came = new Map();
  /** Milliseconds from one side to the other, newest last. @type {number[]} */
  took = [];
  counts = { sent: 0, others: 0, missing: 0, twice: 0 };
  /** Own lines that have not returned. @type {Map<string, HTMLElement>} */
  waiting = new Map();

  /** @param {string} name @param {(data: any) => Promise<unknown>} publish */
  constructor(name, publish) {
    this.name = name;
    this.publish = publish;
    this.pane = find(`#${name.toLowerCase()}`);
    this.lines = find('.lines', this.pane);
    find('header', this.pane).prepend(avatar(name));
    find('form', this.pane).addEventListener('submit', (/** @type {Event} */ submitted) => {
      submitted.preventDefault();
      const input = find('form input', this.pane);
      const words = input.value.trim();
      input.value = '';
      if (words) this.say(words);
    });
  }

  /** @param {string} words */
  say(words) {
    const mark = randomName();
    remember(said, mark, { by: this, at: performance.now() });
    this.counts.sent += 1;
    const line = this.line(this.name, words, 'sending');
    line.classList.add('waiting');
    this.waiting.set(mark, line);
    const publishing = async () => this.publish({ text: words, mark, at: Date.now() });
    publishing().then(() => this.await(mark), (error) => {
      this.waiting.delete(mark);
      find('time', line).textContent = '';
      find('.text', line).append(make('span', { class: 'event gap' }, ` (not sent: ${error.message})`));
    });
    this.show();
  }

  /** The server has accepted the message, so both sides should get it soon. @param {string} mark */
  await(mark) {
    setTimeout(() => {
      // Sent before a gap, which the server reported: it does not count as missing.
      if (/** @type {number} */ (said.get(mark)?.at) < gapAt) return;
      for (const side of sides) if (!side.came.has(mark)) side.counts.missing += 1;
      for (const side of sides) side.show();
    }, MISSING);
  }

  /** @param {string} from @param {any} data */
  message(from, data) {
    const mark = text(data?.mark, 40);
    const mine = said.get(mark);
    const times = (this.came.get(mark) ?? 0) + 1;
    remember(this.came, mark, times);
    if (mine && times > 1) this.counts.twice += 1;
    if (!mine || mine.by !== this) this.counts.others += 1;
    const ms = mine && performance.now() - mine.at;
    if (ms !== undefined && mine?.by !== this) this.took = [...this.took.slice(-49), ms];
    this.waiting.get(mark)?.remove();
    this.waiting.delete(mark);
    const when = ms === undefined ? clock(Number(data?.at)) : `${ms < 9.95 ? ms.toFixed(1) : Math.round(ms)} ms`;
    this.line(from, text(data?.text), when);
    this.show();
  }

  /** @param {string} author @param {string} words @param {string} when @returns {HTMLElement} */
  line(author, words, when) {
    const atEnd = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 60;
    const line = make('div', { class: `line${author === this.name ? ' own' : ''}` }, avatar(author), make('div', { class: 'said' },
      make('p', { class: 'who' }, make('b', { dir: 'auto', title: author }, author), make('time', {}, when)),
      make('p', { class: 'text', dir: 'auto' }, words)));
    this.lines.append(line);
    while (this.lines.childElementCount > KEPT) this.lines.firstElementChild?.remove();
    if (atEnd) this.lines.scrollTop = this.lines.scrollHeight;
    return line;
  }

  /** @param {string} words @param {string} [kind] */
  event(words, kind = '') {
    this.lines.append(make('p', { class: `event ${kind}` }, words));
    this.lines.scrollTop = this.lines.scrollHeight;
  }

  show() {
    const fact = (/** @type {string} */ name, /** @type {string} */ value) => { find(`[data-fact="${name}"]`, this.pane).textContent = value; };
    const { sent, others, missing, twice } = this.counts;
    const sorted = [...this.took].sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1];
    fact('sent', String(sent));
    fact('others', String(others));
    fact('median', median === undefined ? '–' : `${median.toFixed(1)} ms`);
    fact('faults', `${missing} / ${twice}`);
    find('[data-fact="faults"]', this.pane).classList.toggle('bad', missing + twice > 0);
  }
}

/** Both sides. @type {Side[]} */
const sides = [];

/** Shows Ada's connection. @param {Side} ada @param {string} state @param {string} [why] */
function showLink(ada, state, why) {
  const status = find('.link', ada.pane);
  status.dataset.state = state;
  find('.word', status).textContent = /** @type {any} */ (WORDS)[state];
  status.title = why ?? '';
  if (state === 'over') ada.event(`The server refused: ${why}`, 'gap');
}

/**
 * Runs the page.
 * @param {string} demo its name
 * @param {string} first Ada's first transport
 * @param {(channel: string, type: string, listener: Listener) => Link} open makes a link that uses only the transport
 */
export function bridge(demo, first, open) {
  top(demo);
  /** @type {Link} */
  let link;
  /** The open links: one, or two while one replaces the other. @type {Set<Link>} */
  const links = new Set();
  /** Which of them delivered a message, by its mark. @type {Map<string, Link>} */
  const brought = new Map();
  const encke = connect(userUrl('Ben'));
  find('encke-status').client = encke;
  const ada = new Side('Ada', (data) => link.publish(data));
  const ben = new Side('Ben', (data) => encke.publish(CHANNEL, data));
  sides.push(ada, ben);

  /** @param {Link} other */
  async function end(other) {
    await other.close();
    links.delete(other);
  }

  /** Changes to a transport. The old session ends once the new one has subscribed, so that nothing is missed. @param {string} type */
  function use(type) {
    const now = open(CHANNEL, type, {
      message(from, data) {
        // While one link replaces another, both deliver.
        const mark = text(data?.mark, 40);
        if ((brought.get(mark) ?? now) !== now) return;
        if (mark) remember(brought, mark, now);
        ada.message(from, data);
      },
      state(state, why) {
        // A link reports its first state before it is `link`.
        queueMicrotask(() => {
          if (link !== now) return;
          showLink(ada, state, why);
          if (state === 'live') for (const other of links) if (other !== now) end(other);
        });
      },
    });
    link = now;
    links.add(now);
    for (const button of ada.pane.querySelectorAll('.kinds button')) button.setAttribute('aria-pressed', String(button.value === type));
  }

  encke.subscribe(CHANNEL, ({ from = 'a backend', data }) => ben.message(from, data));
  encke.on('state', ({ cause }) => { find('.kinds', ben.pane).textContent = cause?.reason ?? 'Chooses its transport by itself'; });
  encke.on('gap', () => {
    gapAt = performance.now();
    ben.event(GAP_WORDS, 'gap');
  });
  encke.on('error', (error) => ben.event(`Refused: ${error.message}`, 'gap'));
  for (const button of ada.pane.querySelectorAll('.kinds button')) button.addEventListener('click', () => use(button.value));
  use(first);
}
