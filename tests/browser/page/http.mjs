/** Readers over responses that a script reads: fetch, XMLHttpRequest, EventSource, polls. */

import { AGAIN, got, guarded, pause, place, take, url } from './got.mjs';
import { domEvents, lines, parts, record, records } from './parse.mjs';

/** An event is dispatched whole or not at all. @param {string} text */
function whole(text) {
  try {
    return JSON.parse(text);
  } catch {
    got.wrong.push(`half an event: …${text.slice(-60)}`);
    return undefined;
  }
}

/**
 * The plainest client there is: the browser's own EventSource with its own reconnects, which knows only Last-Event-ID. With
 * `resume=exact`, without which WebKit may hand on the half of an `open` that a broken connection left behind.
 */
function sse({ base, user, channel }) {
  const source = new EventSource(`${base}/u/${user}/sse?channels=${encodeURIComponent(channel)}&resume=exact`);
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

/**
 * Streams read with fetch. `decoder` makes a fresh one for each response: what a broken one held is asked for again.
 * @param {{ kind: string, accept?: string, more?: Record<string, string>, type: string, decoder: () => (part: any) => void, text: boolean }} how
 */
const fetching = (how) => async (to) => {
  for (;;) {
    try {
      const headers = how.accept ? { accept: how.accept } : {};
      const response = await fetch(url(to, how.kind, how.more), { headers });
      if (!response.ok) got.wrong.push(`${response.status} ${await response.text()}`);
      const type = response.headers.get('content-type');
      if (type !== how.type) got.wrong.push(`type ${type}`);
      const body = how.text ? response.body.pipeThrough(new TextDecoderStream()) : response.body;
      const reader = body.getReader();
      const decode = guarded(how.decoder());
      for (let part = await reader.read(); !part.done; part = await reader.read()) decode(part.value);
      got.broken += 1;
    } catch {
      got.broken += 1;
    }
    await pause(AGAIN);
  }
};

const TEXT = 'text/plain; charset=utf-8';

/** `responseText` as it grows, with padding asked for; Firefox merges progress events, WebKit is quicker at the other: both. */
function xhr(to) {
  const request = new XMLHttpRequest();
  const decode = guarded(lines((line) => take(JSON.parse(line))));
  let read = 0;
  const more = () => {
    if (request.readyState < 3 || request.status !== 200 || request.responseText.length <= read) return;
    const text = request.responseText.slice(read);
    read += text.length;
    decode(text);
  };
  request.onprogress = more;
  request.onreadystatechange = more;
  request.onloadend = () => { got.broken += 1; setTimeout(xhr, AGAIN, to); };
  request.open('GET', url(to, 'stream', { pad: '3000' }));
  request.send();
}

/** Long poll and poll differ only in who waits. */
const polls = (kind) => async (to) => {
  for (;;) {
    let wait = 0;
    try {
      const response = await fetch(url(to, kind), { cache: 'no-store' });
      const envelopes = await response.json();
      if (!response.ok) got.wrong.push(`${response.status} ${JSON.stringify(envelopes)}`);
      else envelopes.forEach((envelope) => take(envelope));
      place.session = response.headers.get('Encke-Session') ?? place.session;
      const position = response.headers.get('Encke-Position');
      if (position) place.position = position;
      else got.wrong.push('no Encke-Position');
      wait = Math.min(envelopes.at?.(-1)?.advice?.poll ?? 0, 200);
    } catch {
      got.broken += 1;
      wait = AGAIN;
    }
    await pause(wait);
  }
};

const json = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

/** The raw body, which scripts get undivided in engines that give it to them at all. @param {'after' | 'before'} style */
const multipart = (style) => fetching({
  kind: 'multipart', more: { style }, type: 'multipart/x-mixed-replace; boundary=encke', text: false,
  decoder: () => parts(style, (headers, body) => {
    if (headers.get('content-type') !== 'application/json; charset=utf-8') got.wrong.push(`a part's type: ${headers.get('content-type')}`);
    const envelope = json(body);
    if (envelope.id && headers.get('encke-position') !== envelope.id) got.wrong.push(`a part's position: ${headers.get('encke-position')}`);
    take(envelope);
  }),
});

export const readers = {
  sse,
  stream: fetching({ kind: 'stream', type: TEXT, text: true, decoder: () => lines((line) => take(JSON.parse(line))) }),
  'stream-xhr': xhr,
  'stream-binary': fetching({
    kind: 'stream', accept: 'application/octet-stream', type: 'application/octet-stream', text: false,
    decoder: () => records((bytes) => { const { envelope, payload } = record(bytes); take(envelope, payload); }),
  }),
  opera: fetching({
    kind: 'sse', accept: 'application/x-dom-event-stream', type: 'application/x-dom-event-stream', text: true,
    decoder: () => domEvents((name, data) => {
      if (name !== 'message') got.wrong.push(`an event named ${name}`);
      take(JSON.parse(data));
    }),
  }),
  'multipart-after': multipart('after'),
  'multipart-before': multipart('before'),
  longpoll: polls('longpoll'),
  poll: polls('poll'),
};
