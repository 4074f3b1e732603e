/**
 * Decoders of the wire formats that no browser decodes for a page, written from their description and sharing nothing with
 * the server. Each takes bytes as they come, split anywhere, and hands on what is whole.
 *
 * They are strict: what is not as described is an error, not something to be lenient about.
 */

/** Text by lines; empty ones say nothing. @param {(line: string) => void} take */
export function lines(take) {
  let held = '';
  return (text) => {
    const found = (held + text).split('\n');
    held = found.pop();
    for (const line of found) if (line.trim()) take(line);
  };
}

/** @param {Uint8Array} a @param {Uint8Array} b */
function joined(a, b) {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const utf8 = (bytes) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);

/**
 * One binary record: the header's length, the header, the payload's own bytes.
 * A message of bytes has a channel and no data; in any other the header is all.
 * @param {Uint8Array} bytes
 */
export function record(bytes) {
  let [length, start] = [view(bytes).getUint16(0), 2];
  if (length === 0xffff) [length, start] = [view(bytes).getUint32(2), 6];
  if (start + length > bytes.length) throw new Error(`a header of ${length} bytes in a record of ${bytes.length}`);
  const header = JSON.parse(utf8(bytes.subarray(start, start + length)));
  const payload = bytes.slice(start + length);
  const isBytes = 'channel' in header && !('data' in header);
  if (isBytes && 'encoding' in header) throw new Error('raw bytes that say they are encoded');
  if (!isBytes && payload.length) throw new Error(`${payload.length} bytes behind an envelope`);
  return { envelope: header, payload: isBytes ? payload : undefined };
}

/** Records behind their lengths; an empty one says nothing. @param {(bytes: Uint8Array) => void} take */
export function records(take) {
  let held = new Uint8Array();
  return (bytes) => {
    held = joined(held, bytes);
    while (held.length >= 4 && held.length >= 4 + view(held).getUint32(0)) {
      const end = 4 + view(held).getUint32(0);
      if (end > 4) take(held.slice(4, end));
      held = held.slice(end);
    }
  };
}

/** Where `mark` (ASCII) begins in `bytes` from `at` on, or -1. */
function find(bytes, mark, at = 0) {
  for (let i = at; i + mark.length <= bytes.length; i += 1) {
    let same = 0;
    while (same < mark.length && bytes[i + same] === mark.charCodeAt(same)) same += 1;
    if (same === mark.length) return i;
  }
  return -1;
}

const blank = (text) => /^[\r\n ]*$/.test(text);

/**
 * Parts of a multipart stream. A part's length is its own, so it may hold the delimiter; what stands between it and the next
 * delimiter must be blank, as must be what stands before the first.
 * `after`: a part is whole only once the delimiter behind it has come, as in browsers.
 * @param {'after' | 'before'} style
 * @param {(headers: Map<string, string>, body: Uint8Array) => void} take
 */
export function parts(style, take) {
  const delimiter = '--encke\r\n';
  let held = new Uint8Array();
  let waiting = null;
  /** Takes one delimiter off the front; false if it is not there yet. */
  const passDelimiter = () => {
    const at = find(held, delimiter);
    if (at < 0) {
      if (find(held, '--encke--') >= 0) held = new Uint8Array();
      return false;
    }
    const between = utf8(held.subarray(0, at));
    if (!blank(between)) throw new Error(`between parts: ${JSON.stringify(between)}`);
    held = held.slice(at + delimiter.length);
    return true;
  };
  /** Where a delimiter was sent already, the stream ends with a part that has neither length nor body. */
  const theEnd = (end) => {
    const rest = utf8(held.subarray(end)).trim();
    if (!'--encke--'.startsWith(rest)) throw new Error(`a part without length: ${JSON.stringify(rest)}`);
    return null;
  };
  /** Takes one head and body off the front; null if they are not there yet. */
  const part = () => {
    const end = find(held, '\r\n\r\n');
    if (end < 0) return null;
    const head = utf8(held.subarray(0, end)).split('\r\n').filter((line) => line.trim());
    const headers = new Map(head.map((line) => /^([A-Za-z-]+): *(.*)$/.exec(line).slice(1)).map(([name, value]) => [name.toLowerCase(), value]));
    const length = Number(headers.get('content-length'));
    if (!headers.has('content-length')) return theEnd(end);
    if (!Number.isSafeInteger(length)) throw new Error(`a part without length: ${head}`);
    if (held.length < end + 4 + length) return null;
    const body = held.slice(end + 4, end + 4 + length);
    held = held.slice(end + 4 + length);
    return { headers, body };
  };
  let inPart = false;
  return (bytes) => {
    held = joined(held, bytes);
    for (;;) {
      if (!inPart && !passDelimiter()) return;
      if (waiting) take(waiting.headers, waiting.body);
      waiting = null;
      inPart = true;
      const whole = part();
      if (!whole) return;
      inPart = false;
      if (style === 'after') waiting = whole;
      else take(whole.headers, whole.body);
    }
  };
}

/**
 * Old Opera's events, after the draft of 2006: `Event: name` and `data:` lines, a blank line that ends an event, comments behind a
 * semicolon. There are no ids.
 * @param {(name: string, data: string) => void} take
 */
export function domEvents(take) {
  let held = '';
  let event = { name: '', data: [] };
  const line = (text) => {
    if (text === '') {
      if (event.name) take(event.name, event.data.join('\n'));
      event = { name: '', data: [] };
      return;
    }
    if (text.startsWith(';')) return;
    const [, field, value] = /^([^:]+): ?(.*)$/s.exec(text) ?? [];
    if (field === 'Event') event.name = value;
    else if (field === 'data') event.data.push(value);
    else throw new Error(`not a line of old Opera's: ${JSON.stringify(text)}`);
  };
  return (text) => {
    // A CR at the end may be half of a CRLF.
    const found = (held + text).split(/\r\n|\r(?!$)|\n/);
    held = found.pop();
    found.forEach(line);
  };
}
