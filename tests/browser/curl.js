'use strict';
// `curl -N` follows every stream: each event is there before the next one is published, and the end is an end.
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { EnckeNode } = require('./lib/node');

/** How long an event may take to be there, in milliseconds. */
const SOON = 5000;
const MARKS = ['mark-one', 'mark-two', 'mark-three'];

/** @type {[string, string, string?][]} path and query, type, accept */
const STREAMS = [
  ['stream', 'text/plain; charset=utf-8'],
  ['stream', 'application/octet-stream', 'application/octet-stream'],
  ['sse', 'text/event-stream; charset=utf-8', 'text/event-stream'],
  ['sse', 'application/x-dom-event-stream', 'application/x-dom-event-stream'],
  ['frame', 'text/html; charset=utf-8'],
  ['frame?origin=ORIGIN', 'text/html; charset=utf-8'],
  ['htmlfile', 'text/html; charset=utf-8'],
  ['multipart', 'multipart/x-mixed-replace; boundary=encke'],
  ['multipart?style=before', 'multipart/x-mixed-replace; boundary=encke'],
  ['multipart?type=image/png', 'multipart/x-mixed-replace; boundary=encke'],
  ['multipart?style=before&type=image/png', 'multipart/x-mixed-replace; boundary=encke'],
];

/** One curl and what it has printed, the response's head first. */
class Curl {
  constructor(url, accept) {
    const args = ['-sNi', '--max-time', '60', ...(accept ? ['-H', `Accept: ${accept}`] : []), url];
    this.child = spawn('curl', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.exited = once(this.child, 'close').then(([code, signal]) => code ?? signal);
    this.text = '';
    this.heard = () => {};
    this.child.stdout.setEncoding('latin1').on('data', (text) => { this.text += text; this.heard(); });
  }

  /** Resolves once `what` stands in the output; else says what does. */
  shows(what) {
    return new Promise((ok, no) => {
      const late = setTimeout(() => no(new Error(`no ${JSON.stringify(what)} within ${SOON} ms, only ${JSON.stringify(this.text.slice(-500))}`)), SOON);
      this.heard = () => { if (this.text.includes(what)) { clearTimeout(late); ok(); } };
      this.heard();
    });
  }

  stop() { this.child.kill('SIGKILL'); }
}

function checkHead(text, type) {
  const [line, ...fields] = text.slice(0, text.indexOf('\r\n\r\n')).split('\r\n');
  assert.equal(line, 'HTTP/1.1 200 OK');
  const headers = new Map(fields.map((field) => /^([^:]+): *(.*)$/.exec(field).slice(1)).map(([name, value]) => [name.toLowerCase(), value]));
  assert.equal(headers.get('content-type'), type);
  assert.equal(headers.get('cache-control'), 'no-store, no-transform');
  assert.equal(headers.get('x-accel-buffering'), 'no');
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
  assert.match(headers.get('encke-session'), /^s[0-9a-z]+$/);
}

async function follows(node, user, [path, type, accept]) {
  const curl = new Curl(`http://${node.public}/u/${user}/${path.replace('ORIGIN', `http://${node.public}`)}`, accept);
  try {
    // Of a stream of pictures there is nothing to be seen before the first, not even its head: curl keeps that back.
    if (path.includes('image/')) await node.hasSessions(user, 1);
    else await curl.shows('"open":');
    for (const mark of MARKS) {
      const kind = path.includes('image/') || accept === 'application/octet-stream' ? 'application/octet-stream' : 'text/plain';
      const { sessions } = await node.post(`/u/${user}/publish`, mark, kind);
      assert.equal(sessions, 1);
      await curl.shows(mark);
    }
    checkHead(curl.text, type);
    await fetch(`http://${node.api}/u/${user}`, { method: 'DELETE' });
    assert.equal(await curl.exited, 0, 'curl found no proper end');
    if (!path.includes('image/')) assert.ok(curl.text.includes('"close":'), `no close: ${curl.text.slice(-300)}`);
    for (const mark of MARKS) assert.equal(curl.text.split(mark).length, 2, `${mark} came not just once`);
  } catch (error) {
    error.message = `${path} as ${type}: ${error.message}`;
    throw error;
  } finally {
    curl.stop();
  }
}

async function curlFollows(binary) {
  const node = new EnckeNode(binary);
  try {
    await node.start();
    await Promise.all(STREAMS.map((stream, i) => follows(node, `reader-${i}`, stream)));
  } catch (error) {
    error.message += `\nthe server's last words:\n${node.log.slice(-2000)}`;
    throw error;
  } finally {
    await node.end();
  }
}

module.exports = { curlFollows };
