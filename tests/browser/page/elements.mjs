/** Readers over elements of the page: frames that never end, scripts that call back. */

import { AGAIN, got, guarded, place, take, url } from './got.mjs';
import './activex.mjs';

/** A hidden frame without end, put into `into`; calls `ended` when its document is over, which is the only sign there is. */
function hiddenFrame(into, address, ended) {
  const frame = into.ownerDocument.createElement('iframe');
  frame.hidden = true;
  frame.src = address;
  frame.onload = () => {
    got.broken += 1;
    frame.remove();
    setTimeout(ended, AGAIN);
  };
  into.append(frame);
  return frame;
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
  let frame;
  window.readers = {
    frame: guarded((envelope) => {
      take(envelope);
      noteState();
      noteInside(frame.contentDocument);
    }),
  };
  frame = hiddenFrame(document.body, url(to, 'frame', { callback: 'readers.frame', ...more }), () => again(to));
};

/** The page is `www.` of a name and the frame another host of it: they agree on the name. */
function frameDomain(to) {
  const domain = location.hostname.replace(/^www\./, '');
  document.domain = domain;
  framed({ domain })(to);
}

function framePosts(to) {
  let frame;
  const again = () => { frame = hiddenFrame(document.body, url(to, 'frame', { origin: location.origin }), again); };
  window.addEventListener('message', guarded((event) => {
    if (event.source !== frame.contentWindow) throw new Error('a message of another window');
    if (event.origin !== to.base) throw new Error(`a message of ${event.origin}`);
    take(event.data);
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
  file.parentWindow.encke = guarded((envelope) => {
    take(envelope);
    noteState();
  });
  const again = () => hiddenFrame(file.body, url(to, 'htmlfile'), again);
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
