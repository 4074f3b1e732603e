/** What a reader has seen, and where it stands: common to all of them. */

import { awkward, awkwardBytes } from './awkward.mjs';

/**
 * `seq` and `bytes` are the numbers of texts and of payloads of bytes, as they came; `raw` counts those of the latter that came
 * as they are. `broken` counts connections that ended, `beats` envelopes
 * that say nothing, which keep a connection alive.
 */
export const got = {
  seq: [], bytes: [], raw: 0, wrong: [], gaps: [], opens: [], closes: [], answers: [], broken: 0,
  beats: 0, scripts: 0, states: [], violations: [],
};

/** The position from which to resume. */
export const place = { session: '', position: '' };

const decode = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

/** @param {Uint8Array} payload */
function takeBytes(payload) {
  const n = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
  got.bytes.push(n);
  const wanted = awkwardBytes(n);
  if (payload.length !== wanted.length || wanted.some((byte, i) => byte !== payload[i])) got.wrong.push(`bytes of ${n}`);
}

/** @param {{ n: number, text: string }} data */
function takeText(data) {
  got.seq.push(data.n);
  if (data.text !== awkward(data.n)) got.wrong.push(`text of ${data.n}`);
}

/**
 * One envelope.
 * @param {any} envelope
 * @param {Uint8Array} [payload] of a message of bytes that came as they are
 */
export function take(envelope, payload) {
  if (envelope.open) {
    got.opens.push(envelope.open);
    place.session = envelope.open.session;
    if (!envelope.open.resumed) place.position = envelope.open.position;
  } else if (envelope.gap) got.gaps.push(envelope.gap);
  else if (envelope.close) got.closes.push(envelope.close);
  else if (envelope.id) {
    place.position = envelope.id;
    if (payload) got.raw += 1;
    if (payload) takeBytes(payload);
    else if (envelope.encoding === 'base64') takeBytes(decode(envelope.data));
    else takeText(envelope.data);
  } else if (Object.keys(envelope).length === 0) got.beats += 1;
  else if (envelope.ok || envelope.error) got.answers.push(envelope);
  else if (!envelope.advice) got.wrong.push(`unknown envelope ${JSON.stringify(envelope).slice(0, 200)}`);
}

/** Whatever goes wrong in handling what came is the test's to see. */
export function guarded(handle) {
  return (...came) => {
    try {
      handle(...came);
    } catch (error) {
      got.wrong.push(String(error));
    }
  };
}

/** A reader's target. @typedef {{ base: string, user: string, channel: string }} To */

/** @param {To} to @param {string} kind @param {Record<string, string>} [more] */
export function url({ base, user, channel }, kind, more = {}) {
  const query = new URLSearchParams({ channels: channel, ...more });
  if (place.position) query.set('since', place.position);
  if (place.session) query.set('session', place.session);
  return `${base}/u/${user}/${kind}?${query}`;
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** How long a reader waits after a connection broke, in milliseconds. */
export const AGAIN = 20;
