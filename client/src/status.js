/**
 * `<encke-status>`: shows a person how the connection is: state, transport, cause.
 *
 * Shows the client in its property `client`, or the one that was connected last, also after it. Styled by the parts `dot`, `state`,
 * `transport` and `cause`, and by the attribute `state`. Reads the client, never steers it.
 *
 * @import { Status } from '../encke.js'
 */
import { Encke, news } from './client.js';

/** @type {Record<string, string>} */
const STATES = {
  connecting: 'Connecting', live: 'Live', degraded: 'Connected, but slow', retrying: 'Retrying', offline: 'Offline',
  refused: 'Refused', closed: 'Closed',
};
/** @type {Record<string, string>} */
const KINDS = {
  network: 'the network', server: 'the server', auth: 'the sign-in', middlebox: 'something between here and the server', client: 'this page',
};
const CSS = `:host{display:inline-flex;gap:.5em;align-items:center;--tone:#c77700}:host([state=live]){--tone:#1a9b5b}
:host([state=offline]),:host([state=refused]){--tone:#c62f3b}:host([state=closed]),:host(:not([state])){--tone:#888}
[part=dot]{inline-size:.6em;block-size:.6em;border-radius:50%;background:var(--tone)}
[part=transport],[part=cause]{opacity:.7;font-size:.9em}span:empty{display:none}`;

/** Defines the element, where there are elements. */
export function defineStatus() {
  const scope = /** @type {any} */ (globalThis);
  if (typeof scope.customElements === 'undefined' || scope.customElements.get('encke-status')) return;
  scope.customElements.define('encke-status', elementClass(scope.HTMLElement));
}

/** @param {any} Base HTMLElement, which is not everywhere */
function elementClass(Base) {
  return class EnckeStatus extends Base {
    /** @type {Encke | undefined} what it was given, and what it shows */
    #given;
    /** @type {Encke | undefined} */
    #client;
    #off = () => {};
    #latest = () => {};
    /** @type {any} */
    #timer;
    /** @type {Record<string, HTMLElement>} */
    #parts = {};

    constructor() {
      super();
      const root = this.attachShadow({ mode: 'open' });
      const style = new CSSStyleSheet();
      style.replaceSync(CSS);
      // Not an element: a page's policy may allow no inline style.
      root.adoptedStyleSheets = [style];
      for (const part of ['dot', 'state', 'transport', 'cause']) {
        const span = document.createElement(part === 'dot' ? 'i' : 'span');
        span.setAttribute('part', part);
        root.append(span);
        this.#parts[part] = span;
      }
    }

    get client() { return this.#client; }

    set client(client) {
      this.#given = client;
      this.#watch();
    }

    connectedCallback() {
      this.setAttribute('role', 'status');
      this.#latest = news.on('latest', () => this.#watch());
      this.#watch();
    }

    disconnectedCallback() {
      this.#latest();
      this.#off();
      clearInterval(this.#timer);
    }

    #watch() {
      this.#off();
      const client = this.#client = this.#given ?? Encke.latest ?? this.#client;
      this.#off = client?.on('state', (status) => this.#show(status)) ?? (() => {});
      if (client) this.#show(client.status);
    }

    /** @param {Status} status */
    #show({ state, cause, transport, why, at }) {
      clearInterval(this.#timer);
      this.setAttribute('state', state);
      this.title = why;
      const { state: word, transport: way, cause: reason } = this.#parts;
      way.textContent = transport ?? '';
      reason.textContent = cause ? `${KINDS[cause.kind]}: ${cause.reason || cause.code}` : '';
      const say = () => {
        const seconds = at ? Math.max(0, Math.ceil((at - Date.now()) / 1000)) : 0;
        word.textContent = seconds ? `${STATES[state]} in ${seconds} s` : STATES[state];
      };
      say();
      if (at && state === 'retrying') this.#timer = setInterval(say, 1000);
    }
  };
}
