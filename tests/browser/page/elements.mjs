/** Readers over elements of the page: frames that never end, scripts that call back. */

import { AGAIN, got, guarded, place, take, url } from './got.mjs';
import './activex.mjs';

/** Silence after which a frame is taken for dead, in milliseconds. */
const silence = () => 2 * (got.opens.at(-1)?.heartbeat ?? 5000);

/**
 * A hidden frame without end, put into `into`; `again` opens the next one. `load` tells that the document has come to its end. Of a
 * connection that broke no engine reports anything, so `heard` must be called for everything that arrives.
 */
function hiddenFrame(into, address, again) {
  const frame = into.ownerDocument.createElement('iframe');
  let timer;
  const over = () => {
    clearTimeout(timer);
    got.broken += 1;
    frame.remove();
    setTimeout(again, AGAIN);
  };
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(over, silence());
  };
  frame.hidden = true;
  frame.src = address;
  frame.onload = over;
  heard();
  into.append(frame);
  return { frame, heard };
}

/** The page must not look as if it were loading. */
function noteState() {
  if (!got.states.includes(document.readyState)) got.states.push(document.readyState);
}

/** What can be seen of a frame of one's own origin: whether its elements pile up, whether its policy was broken. */
function noteInside(inside) {
  got.scripts = Math.max(got.scripts, inside.scripts.length);
  if (inside.isWatched) return;
  inside.isWatched = true;
  inside.addEventListener('securitypolicyviolation', (event) => {
    got.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
  });
}

/** @param {Record<string, string>} more */
const framed = (more) => function again(to) {
  const hidden = hiddenFrame(document.body, url(to, 'frame', { callback: 'readers.frame', ...more }), () => again(to));
  window.readers = {
    frame: guarded((envelope) => {
      take(envelope);
      hidden.heard();
      noteState();
      noteInside(hidden.frame.contentDocument);
    }),
  };
};

/** The page is `www.` of a name and the frame another host of it: they agree on the name. */
function frameDomain(to) {
  const domain = location.hostname.replace(/^www\./, '');
  document.domain = domain;
  framed({ domain })(to);
}

function framePosts(to) {
  let hidden;
  const again = () => { hidden = hiddenFrame(document.body, url(to, 'frame', { origin: location.origin }), again); };
  window.addEventListener('message', guarded((event) => {
    if (event.source !== hidden.frame.contentWindow) throw new Error('a message of another window');
    if (event.origin !== to.base) throw new Error(`a message of ${event.origin}`);
    take(event.data);
    hidden.heard();
    noteState();
  }));
  again();
}

/** As pages did in Internet Explorer: a document in memory, so that nothing clicks and nothing turns. */
function htmlfile(to) {
  const file = new window.ActiveXObject('htmlfile');
  file.open();
  file.write('<html><body></body></html>');
  file.close();
  let hidden;
  file.parentWindow.encke = guarded((envelope) => {
    take(envelope);
    hidden.heard();
    noteState();
  });
  const again = () => { hidden = hiddenFrame(file.body, url(to, 'htmlfile'), again); };
  again();
}

/** Script after script, each with a function of its own; the second brings a command. */
function jsonp(to, turn = 1) {
  const name = `jsonp_${turn}`;
  const script = document.createElement('script');
  let called = false;
  window[name] = guarded((envelopes) => {
    called = true;
    envelopes.forEach((envelope) => take(envelope));
  });
  const next = (wait) => {
    script.remove();
    delete window[name];
    setTimeout(jsonp, wait, to, turn + 1);
  };
  script.onload = () => {
    if (!called) got.broken += 1;
    next(called ? 0 : AGAIN);
  };
  script.onerror = () => { got.broken += 1; next(AGAIN); };
  const command = turn === 2 && place.session ? { message: '[{"ping":"\u2028</script>"}]' } : {};
  script.src = url(to, 'jsonp', { callback: name, ...command });
  document.head.append(script);
}

export const readers = { frame: framed({}), 'frame-domain': frameDomain, 'frame-posts': framePosts, htmlfile, jsonp };
