// A backend in Node 18 or newer, without packages: node backend.mjs publish alice hi | token alice | place alice | hook 8090
import { createHash, createHmac } from 'node:crypto';
import { createServer } from 'node:http';

const { API_URL, ENCKE_API_KEY, ENCKE_TOKEN_KEY } = process.env;

async function publish(user, text) {
  const answer = await fetch(`${API_URL}/u/${encodeURIComponent(user)}/publish`, {
    method: 'POST',
    headers: { 'Authorization': `Bearer ${ENCKE_API_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ text }),
    signal: AbortSignal.timeout(5000),
  });
  console.log(await answer.text());
  if (!answer.ok) process.exitCode = 1;
}

function token(user) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const claims = { sub: user, exp: Math.floor(Date.now() / 1000) + 3600, channels: { '/chat/**': 'rw', '/news/**': 'rw' } };
  const message = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  console.log(`${message}.${createHmac('sha256', ENCKE_TOKEN_KEY).update(message).digest('base64url')}`);
}

/** The slot of a user, and its home and deputy among up to 100 nodes. */
function place(user) {
  let sum = ~0;
  for (const byte of Buffer.from(user)) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  const slot = (~sum >>> 0) % 16384;
  const rank = (node) => createHash('sha256').update(`${node}/${slot}`).digest().readBigUInt64BE();
  const nodes = process.env.NODE_NAMES.split(',').sort((a, b) => (rank(a) < rank(b) ? 1 : -1));
  console.log(slot, ...nodes.slice(0, 2));
}

function hook(port) {
  createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { event, user, channel, data } = JSON.parse(Buffer.concat(parts).toString());
    const denied = event === 'publish' && channel.startsWith('/news/') && user !== 'editor';
    response.writeHead(denied ? 403 : 200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(event === 'service' ? { data: { asked: data } } : {}));
  }).listen(Number(port), '127.0.0.1');
}

const [command, ...args] = process.argv.slice(2);
await { publish, token, place, hook }[command](...args);
