/**
 * IRC over a WebSocket that carries the bytes of a TCP connection: lines, the login, and the answers
 * to `PING`.
 *
 * A WebSocket message is any part of the bytes: lines begin and end anywhere in it. Knows nothing of
 * the page.
 */

/** Bytes of a message. The server puts names in front, and the whole line may have 512. */
const LINE_BYTES = 400;
/** A line that is longer than this comes from no IRC server. */
const KEPT_BYTES = 65_536;
const NEWLINE = 10;

const encoder = new TextEncoder();
const utf8 = new TextDecoder('utf-8', { fatal: true });
const latin = new TextDecoder('windows-1252');

/** What a reader is told for Encke's reasons. @type {Record<string, string>} */
const REASONS = {
  'backend-refused': 'The IRC server accepts no connection: it may not be running.',
  'backend-timeout': 'The IRC server does not answer.',
  'backend-reset': 'The IRC server broke the connection.',
};

/** @typedef {{ from: string, command: string, params: string[] }} Line */

/**
 * A line of IRC (RFC 1459, section 2.3.1; tags of IRCv3 are left out). `from` is the name alone.
 * @param {string} line @returns {Line}
 */
export function parse(line) {
  let rest = line.replace(/^@\S* +/, '');
  let from = '';
  if (rest.startsWith(':')) {
    const [, prefix, after] = /^:(\S*) *(.*)$/s.exec(rest) ?? ['', '', ''];
    [from, rest] = [prefix.replace(/[!@].*$/, ''), after];
  }
  const end = rest.search(/(^| ):/);
  const last = end < 0 ? [] : [rest.slice(rest.indexOf(':', end) + 1)];
  const [command = '', ...params] = (end < 0 ? rest : rest.slice(0, end)).split(' ').filter(Boolean);
  return { from, command: command.toUpperCase(), params: [...params, ...last] };
}

/** Text without the codes for colours and styles. @param {string} text */
export function plain(text) {
  return text.replace(/\x03(\d{1,2}(,\d{1,2})?)?|\x04[0-9a-f]{0,6}|[\x00-\x08\x0b-\x1f\x7f]/gi, '');
}

/**
 * The parts of a text that fit into a line each, cut between characters.
 * @param {string} text @returns {string[]}
 */
export function parts(text) {
  const all = [];
  for (const line of text.split(/[\r\n]+/).filter((one) => one.trim())) {
    let [part, bytes] = ['', 0];
    for (const character of line) {
      const more = encoder.encode(character).length;
      if (bytes + more > LINE_BYTES) {
        all.push(part);
        [part, bytes] = ['', 0];
      }
      part += character;
      bytes += more;
    }
    all.push(part);
  }
  return all;
}

/** A name that IRC servers take, close to that of the user. @param {string} name */
export function nickname(name) {
  const letters = name.normalize('NFD').replace(/\p{M}/gu, '').replace(/[^A-Za-z0-9_[\]{}\\|^-]/g, '_').slice(0, 16);
  return /^[A-Za-z_]/.test(letters) && /[A-Za-z0-9]/.test(letters) ? letters : `user${letters.replace(/[^A-Za-z0-9]/g, '')}`;
}

/** @param {Uint8Array} bytes */
function decode(bytes) {
  try {
    return utf8.decode(bytes);
  } catch {
    // Some clients still write the encodings of before.
    return latin.decode(bytes);
  }
}

/** One connection. */
export class IrcLink {
  /** The end of what came, which is no line yet. */
  rest = new Uint8Array();
  /** Whether the server has accepted the name. */
  welcome = false;
  nick;

  /**
   * @param {string} url a user's, without a slash at the end
   * @param {string} nick
   * @param {{ line(line: Line): void, closed(why: string, again: boolean): void }} page
   *   `again`: whether a new connection may help
   */
  constructor(url, nick, page) {
    this.nick = nick;
    this.page = page;
    this.socket = new WebSocket(`${url.replace(/^http/, 'ws')}/tcp/irc`, ['binary']);
    this.socket.binaryType = 'arraybuffer';
    this.socket.onopen = () => {
      // Encke keeps it until the IRC server is connected.
      this.send('NICK', nick);
      this.send('USER', nickname(nick).toLowerCase(), '0', '*', nick);
    };
    this.socket.onmessage = ({ data }) => this.take(new Uint8Array(data));
    this.socket.onclose = ({ code, reason }) => {
      const clean = code === 1000;
      const why = clean ? 'The IRC server ended the connection.' : REASONS[reason] ?? 'The connection broke.';
      page.closed(why, !clean || this.welcome);
    };
  }

  /** @param {Uint8Array} bytes */
  take(bytes) {
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    let at = 0;
    for (let end = all.indexOf(NEWLINE); end >= 0; end = all.indexOf(NEWLINE, at)) {
      this.line(decode(all.subarray(at, end)).replace(/\r$/, ''));
      at = end + 1;
    }
    this.rest = all.slice(at);
    if (this.rest.length > KEPT_BYTES) this.socket.close();
  }

  /** @param {string} text */
  line(text) {
    if (!text) return;
    const line = parse(text);
    const [first = '', second = ''] = line.params;
    if (line.command === 'PING') return this.send('PONG', first);
    if (line.command === '001') {
      this.welcome = true;
      this.nick = first;
    }
    // The name is taken, too long or not liked: another one, until the server has accepted one.
    if (['432', '433', '436'].includes(line.command) && !this.welcome) {
      const stem = nickname(second || this.nick).replace(/\d+$/, '').slice(0, 6);
      return this.send('NICK', `${stem}${Math.floor(Math.random() * 1000)}`);
    }
    if (line.command === 'NICK' && line.from === this.nick) this.nick = first;
    return this.page.line(line);
  }

  /**
   * Sends a line; the last parameter may have blanks.
   * @param {string} command @param {...string} params
   */
  send(command, ...params) {
    const clean = params.map((param) => param.replace(/[\r\n\0]/g, ' '));
    const last = clean.pop();
    const words = [command, ...clean.map((param) => param.replaceAll(' ', '') || '*')];
    if (last !== undefined) words.push(/^[^: ][^ ]*$/.test(last) ? last : `:${last}`);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(encoder.encode(`${words.join(' ')}\r\n`));
  }

  /** Sends a line as it is. @param {string} line */
  raw(line) { if (this.socket.readyState === WebSocket.OPEN) this.socket.send(encoder.encode(`${line.replace(/[\r\n\0]/g, ' ')}\r\n`)); }

  close() { this.socket.close(); }
}
