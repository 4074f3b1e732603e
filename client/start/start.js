/**
 * The start page: two users of the server that served it, in one room.
 *
 * `Pane` shows one user's `Link`: its state, its messages, its counts. `Wire` shows the raw envelopes of both.
 * Whatever comes from the network reaches the page as text, never as markup.
 */

import { GAP_WORDS, Link, clock } from './start-link.js';
import { FIRST, takePlace } from './start-places.js';

/** @typedef {import('./start-link.js').Status} Status */
/** @typedef {import('./start-link.js').Open} Open */
/** @typedef {import('./start-link.js').Message} Message */

const CHANNEL = '/chat/room1';
/** What the page keeps: rows of the wire, and messages of a pane. */
const KEPT = { rows: 50, messages: 200 };

/** Shows one `Link`: its state, its messages, its counts. */
class Pane {
  /** @param {string} user @param {Wire} wire */
  constructor(user, wire) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById('pane'));
    this.root = /** @type {HTMLElement} */ (template.content.firstElementChild.cloneNode(true));
    this.user = user;
    this.counts = { messages: 0, gaps: 0, faults: 0 };
    /** Own messages that have not returned yet, by mark: when each was sent. @type {Map<string, number>} */
    this.pending = new Map();
    this.last = { epoch: '', n: -1 };
    this.openedAt = Date.now();
    this.resumed = false;
    this.label();
    this.link = new Link(user, CHANNEL, {
      onstatus: (status) => this.showStatus(status),
      onopen: (open) => this.showOpen(open),
      onmessage: (message) => this.showMessage(message),
      ongap: () => this.showGap(),
      onraw: (arrow, text) => wire.add(`${user} ${arrow}`, text),
    });
    this.find('.cut').addEventListener('click', () => this.link.cut());
    this.find('.reconnect').addEventListener('click', () => this.link.connect());
    this.find('form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    this.showFacts();
  }

  label() {
    const name = this.user[0].toUpperCase() + this.user.slice(1);
    this.root.id = this.user;
    this.root.setAttribute('aria-label', name);
    this.find('.name').textContent = name;
    this.find('.messages').setAttribute('aria-label', `Messages ${name} sees`);
    this.find('.cut').setAttribute('aria-label', `Cut ${name}’s connection`);
    this.find('.reconnect').setAttribute('aria-label', `Reconnect ${name}`);
    const input = this.find('input');
    input.id = `${this.user}-text`;
    input.placeholder = `Say something as ${name}`;
    const label = this.find('label');
    label.setAttribute('for', input.id);
    label.textContent = `Message from ${name}`;
  }

  /** @param {string} selector @returns {any} */
  find(selector) {
    return this.root.querySelector(selector);
  }

  /** @param {string} name @param {string} text */
  fact(name, text) {
    const element = this.find(`[data-fact="${name}"]`);
    element.textContent = text;
    element.title = text;
  }

  async submit() {
    const input = this.find('input');
    const text = input.value.trim();
    if (!text) return;
    input.value = '';
    const mark = crypto.getRandomValues(new Uint32Array(2)).join('-');
    this.pending.set(mark, performance.now());
    const note = this.find('.sent');
    note.textContent = '';
    try {
      await this.link.send({ publish: CHANNEL, data: { text, mark, at: Date.now() } });
    } catch (error) {
      this.pending.delete(mark);
      note.textContent = `Not sent: ${error.message}.`;
      if (!input.value) input.value = text;
    }
  }

  /** @param {Status} status */
  showStatus({ word, tone, detail }) {
    this.root.dataset.tone = tone;
    // Set only when it changes, so that a screen reader announces a state once and not every second of a countdown.
    const label = this.find('.word');
    if (label.textContent !== word) label.textContent = word;
    this.find('.detail').textContent = detail;
    this.find('.cut').disabled = tone === 'idle';
  }

  /** @param {Open} open */
  showOpen(open) {
    this.openedAt = Date.now();
    this.resumed = open.resumed === true;
    this.fact('session', open.session);
    this.fact('transport', open.transport ?? 'unknown');
    this.fact('heartbeat', open.heartbeat ? `every ${open.heartbeat / 1000} s` : 'none');
    this.showFacts();
  }

  showGap() {
    this.counts.gaps += 1;
    this.append('gap', [['text', GAP_WORDS]]);
    this.showFacts();
  }

  /** @param {Message} message */
  showMessage(message) {
    this.counts.messages += 1;
    this.checkOrder(message.id);
    const data = /** @type {any} */ (message.data);
    const personal = message.channel !== CHANNEL;
    const who = message.from ?? 'backend';
    const text = typeof data === 'string' ? data : (data?.text ?? JSON.stringify(data));
    const kind = personal ? 'personal' : who === this.user ? 'own' : 'other';
    const note = [personal ? 'personal' : '', this.arrival(data, kind)].filter(Boolean).join(', ');
    this.append(kind, [['who', who], ['text', String(text)], ['note', note]]);
    this.showFacts();
  }

  /**
   * A note on a message's arrival: its round-trip time, or that it is old; empty for a live message.
   * @param {any} data @param {string} kind
   */
  arrival(data, kind) {
    const sent = this.pending.get(data?.mark);
    if (kind === 'own' && sent !== undefined) {
      this.pending.delete(data.mark);
      const took = `${(performance.now() - sent).toFixed(1)} ms`;
      this.fact('echo', took);
      return took;
    }
    if (!(data?.at < this.openedAt)) return '';
    return this.resumed ? 'caught up' : 'from before';
  }

  /** Positions of one epoch only rise. @param {string} id */
  checkOrder(id) {
    const cut = id.lastIndexOf('-');
    const at = { epoch: id.slice(0, cut), n: Number(id.slice(cut + 1)) };
    if (at.epoch === this.last.epoch && at.n <= this.last.n) this.counts.faults += 1;
    else this.last = at;
  }

  showFacts() {
    this.fact('position', this.link.position || '–');
    this.fact('messages', String(this.counts.messages));
    this.fact('gaps', String(this.counts.gaps));
    this.fact('faults', String(this.counts.faults));
    this.fact('connections', String(this.link.connections));
  }

  /** @param {string} kind @param {[string, string][]} parts */
  append(kind, parts) {
    const list = this.find('.messages');
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const row = element('li', kind, '');
    row.append(...parts.filter(([, text]) => text).map(([name, text]) => element('span', name, text)));
    list.append(row);
    while (list.children.length > KEPT.messages) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}

/** The raw envelopes of all panes, the newest at the end. */
class Wire {
  constructor() {
    this.list = /** @type {HTMLElement} */ (document.getElementById('wire-log'));
    document.getElementById('wire-clear').addEventListener('click', () => this.list.replaceChildren());
  }

  /** @param {string} whose @param {string} text */
  add(whose, text) {
    const row = element('li', '', '');
    row.append(element('time', '', clock()), element('b', '', whose), element('code', '', text.slice(0, 2000)));
    this.list.append(row);
    while (this.list.children.length > KEPT.rows) this.list.firstElementChild.remove();
    this.list.scrollTop = this.list.scrollHeight;
  }
}

/** @param {string} tag @param {string} className @param {string} text */
function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

/** Sets the address of this page in the commands. */
function fillCommands() {
  for (const id of ['curl-sse', 'curl-user', 'curl-room']) {
    const code = document.getElementById(id);
    code.textContent = code.textContent
      .replace('http://127.0.0.1:8080', location.origin)
      .replace('127.0.0.1:8081', `${location.hostname}:8081`);
  }
  for (const button of document.querySelectorAll('[data-copy]')) button.addEventListener('click', () => copy(button));
}

/** @param {any} button */
async function copy(button) {
  const code = document.getElementById(button.dataset.copy);
  const status = document.getElementById('copied');
  try {
    await navigator.clipboard.writeText(code.textContent);
    status.textContent = button.textContent = 'Copied';
  } catch {
    // Without a secure context there is no clipboard: select the text, so that one key press copies it.
    getSelection().selectAllChildren(code);
    status.textContent = button.textContent = 'Selected';
  }
  setTimeout(() => (button.textContent = 'Copy'), 2000);
}

const wire = new Wire();
const panes = ['alice', 'bob'].map((user) => new Pane(user, wire));
document.getElementById('panes').append(...panes.map((pane) => pane.root));
fillCommands();

/** Gives back the places of the panes' connections. @type {(() => void)[]} */
let places = [];

/** Connects the panes. A pane without a place uses a WebSocket, which needs none. */
async function begin() {
  for (const { link } of panes) {
    const place = await takePlace(FIRST);
    link.transport = place ? 'sse' : 'ws';
    if (place) places.push(place);
    link.connect();
  }
}

begin();
addEventListener('online', () => panes.forEach((pane) => pane.link.source ?? pane.link.connect()));
addEventListener('pagehide', (event) => {
  // A page that may be shown again keeps its sessions; one that goes for good ends them.
  for (const { link } of panes) event.persisted ? link.drop() : link.leave();
  for (const leave of places.splice(0)) leave();
});
addEventListener('pageshow', (event) => event.persisted && begin());
