// HTTP/1.0 and 1.1 by hand: heads as they came, bodies chunk by chunk.
import assert from 'node:assert/strict';
import { Link } from './link.mjs';

/** A response whose head has come. */
export class Answer {
  constructor(link, version, status, headers) {
    Object.assign(this, { link, version, status, headers });
    const names = headers.map(([name]) => name.toLowerCase()).filter((name) => name !== 'set-cookie');
    assert.equal(new Set(names).size, names.length, `a header comes twice: ${JSON.stringify(headers)}`);
    if (status === 204 || status === 304) assert.equal(this.get('transfer-encoding'), undefined, `a ${status} is chunked`);
    assert.ok(!(this.isChunked && this.get('content-length')), 'both a length and chunks');
    this.left = status === 204 || status === 304 || status === 101 ? 0 : Number(this.get('content-length') ?? NaN);
  }

  /** The value of a header, or `undefined`. */
  get(name) { return this.headers.find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1]; }

  get isChunked() { return this.get('transfer-encoding')?.toLowerCase() === 'chunked'; }

  /** The next chunk of the body as text; `null` at its end. */
  async chunk() {
    assert.ok(this.isChunked, 'the body is not chunked');
    const size = parseInt(await this.link.line(), 16);
    const data = await this.link.take(size + 2);
    return size === 0 ? null : data.toString('utf8', 0, size);
  }

  /** The whole body as text. */
  async text() {
    if (this.isChunked) {
      let text = '';
      for (let part; (part = await this.chunk()) !== null;) text += part;
      return text;
    }
    const bytes = Number.isNaN(this.left) ? await this.link.rest() : await this.link.take(this.left);
    return bytes.toString('utf8');
  }

  close() { this.link.destroy(); }
}

/** What is written for a request. A body gets its length, and so does a POST without one. */
export function requestText(base, method, path, { headers = {}, body, version = '1.1', host = new URL(base).host } = {}) {
  const all = { Host: host, ...headers };
  const bytes = Buffer.from(body ?? '');
  const names = Object.keys(all).map((name) => name.toLowerCase());
  const isFramed = names.includes('content-length') || names.includes('transfer-encoding');
  if ((body !== undefined || method === 'POST') && !isFramed) all['Content-Length'] = bytes.length;
  const lines = Object.entries(all).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/${version}\r\n${lines.join('')}\r\n`, 'latin1'), bytes]);
}

/** Reads a response's head. */
export async function answerOn(link) {
  const line = await link.line();
  const [, version, status] = /^HTTP\/(1\.[01]) (\d{3}) ?/.exec(line) ?? assert.fail(`no status line: ${line}`);
  const headers = [];
  for (let text; (text = await link.line()) !== '';) {
    const colon = text.indexOf(':');
    assert.ok(colon > 0, `no header: ${text}`);
    headers.push([text.slice(0, colon), text.slice(colon + 1).trim()]);
  }
  return new Answer(link, version, Number(status), headers);
}

/** Sends a request on a connection and reads its response's head. */
export async function ask(link, base, method, path, options) {
  link.write(requestText(base, method, path, options));
  return answerOn(link);
}

/** A service at an address: requests on connections of their own. Paths are below the address. */
export class Service {
  /** @param {string} base such as http://127.0.0.1:8081/echo */
  constructor(base) { Object.assign(this, { base, path: new URL(base).pathname }); }

  /** A response that stays open. */
  async open(method, path, options) {
    return ask(await Link.to(this.base), this.base, method, this.path + path, options);
  }

  /** A request that is sent, and whose response is not waited for. */
  async send(method, path, options) {
    const link = await Link.to(this.base);
    link.write(requestText(this.base, method, this.path + path, options));
    return link;
  }

  /** A whole response: `body` is its text. */
  async request(method, path, options) {
    const answer = await this.open(method, path, options);
    answer.body = await answer.text();
    answer.close();
    return answer;
  }

  get(path, headers) { return this.request('GET', path, { headers }); }

  post(path, body, headers) { return this.request('POST', path, { headers, body }); }

  options(path, headers) { return this.request('OPTIONS', path, { headers }); }
}
