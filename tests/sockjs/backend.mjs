// A backend behind the pipe, for tests.
import crypto from 'node:crypto';
import http from 'node:http';
import test from 'node:test';
import { createRequire } from 'node:module';
import { isEncke } from './rig.mjs';
import { Service } from './wire/http.mjs';

const { EnckeNode } = createRequire(import.meta.url)('../browser/lib/node.js');
export const KEY = crypto.randomBytes(24).toString('hex');

/** A backend that notes its calls and answers by `reply(strings)`: a status, and JSON. */
export class Backend {
  constructor(reply) {
    this.calls = [];
    this.server = http.createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray());
      this.calls.push({ body, signature: request.headers['encke-signature'], ...JSON.parse(body) });
      const call = JSON.parse(body);
      const [status, json] = await reply(call.strings, call);
      response.writeHead(status).end(json === undefined ? '' : JSON.stringify(json));
    });
  }

  async listen() {
    await new Promise((done) => { this.server.listen(0, '127.0.0.1', done); });
    return `http://127.0.0.1:${this.server.address().port}/`;
  }

  end() { this.server.close(); this.server.closeAllConnections(); }
}

/** A test with a backend, a node, and the service of a user at it. */
export function piped(name, reply, work) {
  test(name, { skip: !isEncke }, async () => {
    const backend = new Backend(reply);
    const node = new EnckeNode(process.env.ENCKE_BIN, {
      ENCKE_PIPE_HOOK: await backend.listen(), ENCKE_HOOK_KEY: KEY, ENCKE_HOOK_TIMEOUT: '1s', ENCKE_SHARDS: '2', ENCKE_ORIGINS: '*',
    });
    await node.start();
    try {
      await work(new Service(`http://${node.public}/u/alice/pipe`), backend, node);
    } finally {
      await node.end();
      backend.end();
    }
  });
}
