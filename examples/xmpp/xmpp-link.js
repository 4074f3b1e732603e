/**
 * XMPP (RFC 6120) over a stream of bytes: login by SASL PLAIN, messages in both directions.
 *
 * An XML stream is one document that does not end: its parts are cut at the end of each element
 * below the first one, and parsed one by one. Knows nothing of the page.
 */
const STREAM = 'http://etherx.jabber.org/streams';
const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const BIND = 'urn:ietf:params:xml:ns:xmpp-bind';
/** A tag; an attribute's value may have `>`. XMPP allows no comments and instructions. */
const TAG = /<(\/?)[^\s/>?]+(?:[^'">]|'[^']*'|"[^"]*")*?(\/?)>/g;
/** Characters of an element that has not ended: a server that sends more is none. */
const KEPT = 1 << 20;

const escaped = (text) => text.replace(/[&<>'"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Cuts a document into the elements below its first. */
export class Elements {
  #text = '';
  #depth = 0;
  /** Where the next tag is looked for, and where the unfinished element begins. */
  #at = 0;
  #from = 0;

  /** A new document begins. */
  restart() {
    this.#text = '';
    this.#depth = this.#at = this.#from = 0;
  }

  /** @param {string} text @returns {string[]} the elements that are complete now; '' for the document's end */
  take(text) {
    this.#text += text;
    const complete = [];
    TAG.lastIndex = this.#at;
    for (let tag = TAG.exec(this.#text); tag; tag = TAG.exec(this.#text)) {
      this.#at = TAG.lastIndex;
      const [, closes, isEmpty] = tag;
      if (!closes && this.#depth === 1) this.#from = tag.index;
      if (closes) this.#depth -= 1;
      else if (!isEmpty) this.#depth += 1;
      if (this.#depth === 1 && (closes || isEmpty)) complete.push(this.#text.slice(this.#from, this.#at));
      if (this.#depth === 0) complete.push('');
    }
    const kept = this.#depth > 1 ? this.#from : this.#at;
    this.#text = this.#text.slice(kept);
    [this.#at, this.#from] = [this.#at - kept, 0];
    if (this.#text.length > KEPT) throw new Error('an element is too long');
    return complete;
  }
}

/** One login. */
export class XmppLink {
  /** The address that the server has given: `name@domain/resource`. */
  address = '';
  /** Why the server refused. @type {string | undefined} */
  failure;
  /** @type {(message: { from: string, body: string }) => void} */
  onmessage = () => {};
  #elements = new Elements();
  #writer;
  #sent = Promise.resolve();
  #stream;
  #account;
  #done = () => {};
  #fail = () => {};

  /**
   * @param {{ readable: ReadableStream, writable: WritableStream, closed: Promise<{ code: string, reason: string }> }} stream
   * @param {{ domain: string, name: string, password: string }} account
   */
  constructor(stream, account) {
    this.#stream = stream;
    this.#account = account;
    this.#writer = stream.writable.getWriter();
    /** Resolves once messages can be sent. */
    this.ready = new Promise((done, fail) => { [this.#done, this.#fail] = [done, fail]; });
    stream.closed.then(({ reason }) => this.#fail(new Error(this.failure ?? reason)));
    this.#begin();
    this.#read().catch((error) => { this.failure ??= error.message; }).finally(() => this.#end());
  }

  /** Sends a message. @param {string} to @param {string} body */
  send(to, body) { this.#write(`<message type='chat' to='${escaped(to)}'><body>${escaped(body)}</body></message>`); }

  close() { this.#end(); }

  #write(text) {
    // The stream says itself that it has ended.
    this.#sent = this.#sent.then(() => this.#writer.write(text)).catch(() => {});
  }

  #end() {
    this.#write('</stream:stream>');
    this.#sent.then(() => this.#writer.close()).catch(() => {});
  }

  #begin() {
    this.#elements.restart();
    this.#write(`<stream:stream to='${escaped(this.#account.domain)}' version='1.0' xmlns='jabber:client' xmlns:stream='${STREAM}'>`);
  }

  async #read() {
    const decoder = new TextDecoder();
    const reader = this.#stream.readable.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      for (const text of this.#elements.take(decoder.decode(part.value, { stream: true }))) {
        if (!text) return;
        const whole = `<stream:stream xmlns='jabber:client' xmlns:stream='${STREAM}'>${text}</stream:stream>`;
        const element = new DOMParser().parseFromString(whole, 'text/xml').documentElement.firstElementChild;
        if (element) this.#take(element);
      }
    }
  }

  #take(element) {
    const { name, password } = this.#account;
    const has = (space, tag) => element.getElementsByTagNameNS(space, tag).length > 0;
    switch (element.localName) {
      case 'features':
        if (has(BIND, 'bind')) return this.#write(`<iq type='set' id='bind'><bind xmlns='${BIND}'/></iq>`);
        return this.#write(`<auth xmlns='${SASL}' mechanism='PLAIN'>${base64(`\0${name}\0${password}`)}</auth>`);
      case 'success':
        return this.#begin();
      case 'failure':
      case 'error':
        this.failure = element.firstElementChild?.localName ?? element.localName;
        return this.#end();
      case 'iq':
        if (element.getAttribute('id') === 'bind') {
          this.address = element.getElementsByTagNameNS(BIND, 'jid')[0]?.textContent ?? '';
          this.#write('<presence/>');
        }
        return undefined;
      case 'presence':
        // One's own shows that messages will come.
        if (element.getAttribute('from') === this.address) this.#done();
        return undefined;
      case 'message': {
        const body = [...element.children].find((child) => child.localName === 'body')?.textContent;
        if (body) this.onmessage({ from: element.getAttribute('from') ?? '', body });
        return undefined;
      }
      default:
        return undefined;
    }
  }
}

function base64(text) { return btoa(String.fromCharCode(...new TextEncoder().encode(text))); }
