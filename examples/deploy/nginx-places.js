// The slot of a request's user, for nginx-places.conf: CRC-32 of the decoded id, modulo 16384. For njs.

/** The bytes of a segment with its escapes decoded. */
function bytes(segment) {
  const found = [];
  for (let at = 0; at < segment.length; at += 1) {
    const escaped = segment[at] === '%' && /^[0-9A-Fa-f]{2}/.test(segment.slice(at + 1, at + 3));
    found.push(escaped ? parseInt(segment.slice(at + 1, at + 3), 16) : segment.charCodeAt(at));
    if (escaped) at += 2;
  }
  return found;
}

function slot(r) {
  // The request as it came: nginx decodes its own $uri, which splits a%2Fb in two.
  const named = /^\/u\/([^\/?]+)\//.exec(r.variables.request_uri);
  if (!named) return '';
  let sum = ~0;
  const all = bytes(named[1]);
  for (let at = 0; at < all.length; at += 1) {
    sum ^= all[at];
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return String((~sum >>> 0) % 16384);
}

export default { slot };
