/**
 * One room, seen by two libraries side by side: Ada's messages come and go by CometD, Ben's by encke.js.
 *
 * Both sides are the same to this page: something that publishes, and tells what came. What is said here is counted on both, so that
 * a message that is missing or comes twice would be seen.
 */
import { connect } from '/encke.js';
import { BayeuxLink } from '/demo/bayeux-link.js';
import { GAP_WORDS, avatar, clock, find, make, randomName, text, top, userUrl } from '/demo/common.js';

const CHANNEL = '/demo/chat/bridge';
/** Lines and marks that are kept. */
const KEPT = 200;
const MARKS_KEPT = 5_000;
/** A message that has not come after so long is missing. Milliseconds. */
const MISSING = 10_000;
const WORDS = { connecting: 'Connecting', live: 'Connected', retrying: 'Trying again', over: 'Ended' };

/** What was said in this page, by its mark: by whom, and when by the page's own clock. @type {Map<string, { by: Side, at: number }>} */
const said = new Map();

/** Sets a mark's value; the oldest make room. @param {Map<string, any>} marks @param {string} mark @param {any} value */
function remember(marks, mark, value) {
  marks.set(mark, value);
  if (marks.size > MARKS_KEPT) marks.delete(/** @type {string} */ (marks.keys().next().value));
}

/** When it was last told that something may be missing. */
let gapAt = 0;

/** One side of the page. */
class Side {
  /** What came, by its mark. @type {Map<string, number>} */
  came = new Map();
  /** Milliseconds from one side to the other, newest last. @type {number[]} */
  took = [];
  counts = { sent: 0, others: 0, missing: 0, twice: 0 };
  /** Own lines that have not come back. @type {Map<string, HTMLElement>} */
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
    const line = this.line(this.name, words, 'on its way');
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

  /** The server has it, so that both sides are to have it soon. @param {string} mark */
  await(mark) {
    setTimeout(() => {
      // Before a gap, which is told: not a loss on the way.
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

top('bayeux');

/** @type {BayeuxLink} */
let link;
/** Those that are open: one, but while another takes over. @type {Set<BayeuxLink>} */
const links = new Set();
/** Which of them brought a message, by its mark. @type {Map<string, BayeuxLink>} */
const brought = new Map();
const encke = connect(userUrl('Ben'));
find('encke-status').client = encke;
const ada = new Side('Ada', (data) => link.publish(data));
const ben = new Side('Ben', (data) => encke.publish(CHANNEL, data));
const sides = [ada, ben];

/** @param {string} state @param {string} [why] */
function showLink(state, why) {
  const status = find('.link', ada.pane);
  status.dataset.state = state;
  find('.word', status).textContent = /** @type {any} */ (WORDS)[state];
  status.title = why ?? '';
  if (state === 'over') ada.event(`The server said: ${why}`, 'gap');
}

/** Goes over to a transport. The old session ends when the new one has the room, so that nothing is missed meanwhile. @param {string} type */
function use(type) {
  const now = new BayeuxLink(`${userUrl('Ada')}/bayeux`, CHANNEL, type, {
    message({ data, ext }) {
      // Where one takes over from another, both bring what was said meanwhile.
      const mark = text(data?.mark, 40);
      if ((brought.get(mark) ?? now) !== now) return;
      if (mark) remember(brought, mark, now);
      ada.message(ext?.from ?? 'a backend', data);
    },
    state(state, why) {
      // The first is told before the link is there.
      queueMicrotask(() => {
        if (link !== now) return;
        showLink(state, why);
        if (state === 'live') for (const other of links) if (other !== now) end(other);
      });
    },
  });
  link = now;
  links.add(now);
  for (const button of ada.pane.querySelectorAll('.kinds button')) button.setAttribute('aria-pressed', String(button.value === type));
}

/** @param {BayeuxLink} other */
async function end(other) {
  await other.close();
  links.delete(other);
}

encke.subscribe(CHANNEL, ({ from = 'a backend', data }) => ben.message(from, data));
encke.on('state', ({ cause }) => { find('.kinds', ben.pane).textContent = cause?.reason ?? 'Chooses its transport by itself'; });
encke.on('gap', () => {
  gapAt = performance.now();
  ben.event(GAP_WORDS, 'gap');
});
encke.on('error', (error) => ben.event(`Refused: ${error.message}`, 'gap'));
for (const button of ada.pane.querySelectorAll('.kinds button')) button.addEventListener('click', () => use(button.value));
use('websocket');
