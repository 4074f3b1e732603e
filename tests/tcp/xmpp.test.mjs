// Prosody: a page's user, with npm's @xmpp/client over a stream, and a client of Python's on plain
// TCP.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { xml } from '@xmpp/client';
import { addressOf, freePort, inPlace, program, startEncke, within } from './rig.mjs';
import { DOMAIN, overStream } from './xmpp.mjs';

async function startProsody(place) {
  const port = await freePort();
  place.mkdir('data');
  const config = place.write('prosody.cfg.lua', `
data_path = "${place.path('data')}"
pidfile = "${place.path('pid')}"
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
modules_enabled = { "roster", "saslauth", "disco", "ping" }
modules_disabled = { "tls", "s2s", "http" }
authentication = "internal_hashed"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
log = { { levels = { min = "info" }, to = "console" } }
VirtualHost "${DOMAIN}"
`);
  const control = program('prosodyctl', 'prosody');
  for (const name of ['ada', 'ben']) await place.run(control, ['--config', config, 'register', name, DOMAIN, `of-${name}`]);
  await place.serve(program('prosody'), ['-F', '--config', config], /Activated service 'c2s' on/);
  return port;
}

/** Starts the client of Python's. */
async function startPython(place, port) {
  // Another user may not be allowed to read it where it is.
  const script = place.write('xmpp.py', fs.readFileSync(new URL('xmpp.py', import.meta.url)));
  // Debian's Python has Debian's packages.
  const child = await place.serve('/usr/bin/python3', ['-B', script, `ben@${DOMAIN}`, 'of-ben', port], /^ready$/m);
  return child.output;
}

test('Prosody: a page logs in and talks with a client on plain TCP', inPlace(async (place) => {
  const port = await startProsody(place);
  const node = await startEncke(place, { xmpp: `127.0.0.1:${port}` });
  const ben = await startPython(place, port);
  const ada = overStream(addressOf(node, 'xmpp'), 'ada', 'of-ada');
  const stanza = (matches, what) => within(new Promise((done) => {
    ada.on('stanza', (one) => { if (matches(one)) done(one); });
  }), what);
  const address = await within(ada.start(), 'a login');
  assert.equal(address.bare().toString(), `ada@${DOMAIN}`);
  const own = stanza((one) => one.is('presence') && one.attrs.from === address.toString(), 'its own presence');
  await ada.send(xml('presence'));
  await own;
  for (const body of ['hello', '<b>\u{1F600}</b> & more', 'x'.repeat(200_000)]) {
    const answer = stanza((one) => one.is('message') && one.getChildText('body'), 'an answer');
    await ada.send(xml('message', { to: `ben@${DOMAIN}`, type: 'chat' }, xml('body', {}, body)));
    const got = await answer;
    assert.match(got.attrs.from, /^ben@localhost/);
    assert.equal(got.getChildText('body'), body.toUpperCase());
    ada.removeAllListeners('stanza');
  }
  await ben.match(/^heard ada@localhost b'hello'$/m);
  await within(ada.stop(), 'the end');
}));

test('Prosody: a wrong password is told as the server tells it', inPlace(async (place) => {
  const node = await startEncke(place, { xmpp: `127.0.0.1:${await startProsody(place)}` });
  const ada = overStream(addressOf(node, 'xmpp'), 'ada', 'guessed');
  await assert.rejects(within(ada.start(), 'a refusal'), { condition: 'not-authorized' });
  await within(ada.stop(), 'the end');
}));
