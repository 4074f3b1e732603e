/**
 * Four readers of the native protocol, written from its description and sharing nothing with the client library.
 *
 * `read(kind, base, user, channel)` starts one; `got` holds what it saw. The page is of another origin than the server,
 * so CORS is part of what is tested.
 */

import { awkward } from '/awkward.mjs';

/** @typedef {{ seq: number[], wrong: string[], gaps: object[], opens: object[], closes: object[], broken: number }} Got */

/** @type {Got} */
const got = { seq: [], wrong: [], gaps: [], opens: [], closes: [], broken: 0 };
const place = { session: '', position: '' };

/** @param {any} envelope */
function take(envelope) {
  if (envelope.open) {
    got.opens.push(envelope.open);
    place.session = envelope.open.session;
    if (!envelope.open.resumed) place.position = envelope.open.position;
  } else if (envelope.gap) got.gaps.push(envelope.gap);
  else if (envelope.close) got.closes.push(envelope.close);
  else if (envelope.id) {
    place.position = envelope.id;
    got.seq.push(envelope.data.n);
    if (envelope.data.text !== awkward(envelope.data.n)) got.wrong.push(`text of ${envelope.data.n}`);
  } else if (!envelope.advice) got.wrong.push(`unknown envelope ${JSON.stringify(envelope).slice(0, 200)}`);
}

/** @param {string} base @param {string} user @param {string} kind @param {string} channel */
function url(base, user, kind, channel) {
  const query = new URLSearchParams({ channels: channel });
  if (place.position) query.set('since', place.position);
  if (place.session) query.set('session', place.session);
  return `${base}/u/${user}/${kind}?${query}`;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** An event is dispatched whole or not at all. @param {string} text */
function whole(text) {
  try {
    return JSON.parse(text);
  } catch {
    got.wrong.push(`half an event: …${text.slice(-60)}`);
    return undefined;
  }
}

/** The plainest client there is: the browser's own EventSource with its own reconnects, which knows only Last-Event-ID. */
function sse(base, user, channel) {
  const source = new EventSource(`${base}/u/${user}/sse?channels=${encodeURIComponent(channel)}`);
  source.onmessage = (event) => {
    const envelope = whole(event.data);
    if (!envelope) return;
    if (envelope.id && event.lastEventId !== envelope.id) got.wrong.push(`event id of ${envelope.id}: ${event.lastEventId}`);
    take(envelope);
  };
  source.onerror = () => {
    got.broken += 1;
    if (source.readyState === EventSource.CLOSED) got.wrong.push('the event source gave up');
  };
}

async function stream(base, user, channel) {
  for (;;) {
    try {
      const response = await fetch(url(base, user, 'stream', channel));
      if (!response.ok) got.wrong.push(`${response.status} ${await response.text()}`);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let held = '';
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const lines = (held + part.value).split('\n');
        held = lines.pop();
        for (const line of lines) if (line.trim()) take(JSON.parse(line));
      }
    } catch {
      got.broken += 1;
    }
    await pause(20);
  }
}

/** Long poll and poll differ only in who waits. */
async function polls(kind, base, user, channel) {
  for (;;) {
    let wait = 0;
    try {
      const response = await fetch(url(base, user, kind, channel), { cache: 'no-store' });
      const envelopes = await response.json();
      if (!response.ok) got.wrong.push(`${response.status} ${JSON.stringify(envelopes)}`);
      else envelopes.forEach(take);
      place.session = response.headers.get('Encke-Session') ?? place.session;
      const position = response.headers.get('Encke-Position');
      if (position) place.position = position;
      else got.wrong.push('no Encke-Position');
      wait = Math.min(envelopes.at?.(-1)?.advice?.poll ?? 0, 200);
    } catch {
      got.broken += 1;
      wait = 20;
    }
    await pause(wait);
  }
}

const READERS = { sse, stream, longpoll: (...at) => polls('longpoll', ...at), poll: (...at) => polls('poll', ...at) };

window.got = got;
window.read = (kind, base, user, channel) => void READERS[kind](base, user, channel);
