// A backend of the pipe in Node 18 or newer, without packages: node pipe.mjs 8090
//
// What sockjs-node's `connection`, `data`, `write` and `close` become. Each page says its lines to all pages that have the
// channel /lines; `/me` is answered to that page alone, `/quit` ends its session.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const { API_URL = 'http://127.0.0.1:8081', ENCKE_API_KEY = '', ENCKE_HOOK_KEY = '' } = process.env;
/** A call that is older was recorded and sent again. Seconds. */
const CALL_AGE_MAX = 300;

/** Whether the node has signed a call: `t=SECONDS,hs256=SIGNATURE`. */
function isSigned(header, body) {
  const [, seconds, given] = /^t=(\d+),hs256=(\S+)$/.exec(header ?? '') ?? [];
  if (!given || Math.abs(Date.now() / 1000 - Number(seconds)) > CALL_AGE_MAX) return false;
  const [ours, theirs] = [createHmac('sha256', ENCKE_HOOK_KEY).update(`${seconds}.`).update(body).digest(), Buffer.from(given, 'base64url')];
  return ours.length === theirs.length && timingSafeEqual(ours, theirs);
}

/** `connection.write` of every page, by one request: the node delivers it to all pages of the channel. */
async function publish(data) {
  const answer = await fetch(`${API_URL}/publish`, {
    method: 'POST',
    headers: { 'Authorization': `Bearer ${ENCKE_API_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ channel: '/lines', data }),
    signal: AbortSignal.timeout(5000),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
}

/** The event `data`, for the strings of one page in their order. What it returns goes down that page's session. */
async function onStrings({ user, session, strings }) {
  const answer = { strings: [] };
  for (const text of strings) {
    if (text === '/me') answer.strings.push(`${user} in ${session}`);
    else if (text === '/quit') answer.close = { code: 3000, reason: 'bye' };
    else await publish(`${user}: ${text}`);
  }
  return answer;
}

createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray());
  if (ENCKE_HOOK_KEY && !isSigned(request.headers['encke-signature'], body)) return response.writeHead(401).end();
  try {
    const answer = await onStrings(JSON.parse(body));
    return response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
  } catch (error) {
    console.error(error.message);
    // The page's send is answered with 503. The node does not repeat the call.
    return response.writeHead(503).end();
  }
}).listen(Number(process.argv[2] ?? 8090), '127.0.0.1');
