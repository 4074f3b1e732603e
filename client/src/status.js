/**
 * `<encke-status>`: shows the state of the connection, its transport, and the cause of a failure.
 *
 * Shows the client in its property `client`, or else the client that connected last. Its parts
 * `dot`, `state`, `transport` and `cause` and its attribute `state` can be styled. It only reads the
 * client.
 *
 * @import { Status } from '../encke.js'
 */
import { Encke, latestChanged } from './client.js';

/** @type {Record<string, string>} */
const STATES = {
  connecting: 'Connecting', live: 'Live', degraded: 'Connected, but slow', retrying: 'Retrying', offline: 'Offline',
  refused: 'Refused', closed: 'Closed',
};
/** @type {Record<string, string>} */
const KINDS = { network: 'the network', server: 'the server', auth: 'the sign-in', middlebox: 'a proxy', client: 'this page' };
const CSS = `:host{display:inline-flex;gap:.5em;align-items:center;--tone:#c77700}:host([state=live]){--tone:#1a9b5b}
:host([state=offline]),:host([state=refused]){--tone:#c62f3b}:host([state=closed]),:host(:not([state])){--tone:#888}
[part=dot]{inline-size:.6em;block-size:.6em;border-radius:50%;background:var(--tone)}
[part=transport],[part=cause]{opacity:.7;font-size:.9em}span:empty{display:none}`;

/** Defines the element, where the platform has elements. */
export function defineStatus() {
  const { customElements, HTMLElement } = /** @type {any} */ (globalThis);
  if (customElements && !customElements.get('encke-status')) customElements.define('encke-status', elementClass(HTMLElement));
}

/** @param {any} Base HTMLElement, which not every platform has */
function elementClass(Base) {
  return class extends Base {
    /** The client that the page has set. @type {Encke | undefined} */
    #given;
    /** The client that is shown. @type {Encke | undefined} */
    #client;
    #off = () => {};
    #offLatest = () => {};
    /** @type {any} */
    #timer;
    /** @type {Record<string, HTMLElement>} */
    #parts = {};

    constructor() {
      super();
      const root = this.attachShadow({ mode: 'open' });
      const style = new CSSStyleSheet();
      style.replaceSync(CSS);
      // Not a style element: a page's policy may forbid inline styles.
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
      this.#offLatest = latestChanged.on('latest', () => this.#watch());
      this.#watch();
    }

    disconnectedCallback() {
      this.#offLatest();
      this.#off();
      clearInterval(this.#timer);
    }

    #watch() {
      this.#off();
      const client = this.#client = this.#given ?? Encke._latest ?? this.#client;
      this.#off = client?.on('state', (status) => this.#show(status)) ?? (() => {});
      if (client) this.#show(client.status);
    }

    /** @param {Status} status */
    #show({ state, cause, transport, why, at = 0 }) {
      const parts = this.#parts;
      clearInterval(this.#timer);
      this.setAttribute('state', state);
      this.title = why;
      parts.transport.textContent = transport ?? '';
      parts.cause.textContent = cause ? `${KINDS[cause.kind]}: ${cause.reason || cause.code}` : '';
      const tick = () => {
        const seconds = Math.ceil((at - Date.now()) / 1000);
        parts.state.textContent = seconds > 0 ? `${STATES[state]} in ${seconds} s` : STATES[state];
      };
      tick();
      if (at && state === 'retrying') this.#timer = setInterval(tick, 1000);
    }
  };
}
