// OpenSSH: a server that speaks first.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Stream, freePort, inPlace, program, startEncke } from './rig.mjs';

test('OpenSSH: its first words come unasked', inPlace(async (place) => {
  const port = await freePort();
  const key = place.path('key');
  await place.run(program('ssh-keygen', 'openssh-client'), ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  await place.serve(program('sshd', 'openssh-server'), [
    '-D', '-e', '-f', '/dev/null', '-p', port, '-h', key, '-o', 'ListenAddress=127.0.0.1', '-o', `PidFile=${place.path('pid')}`,
  ], /Server listening on/);
  const node = await startEncke(place, { ssh: `127.0.0.1:${port}` });
  for (const protocols of [['binary'], ['base64'], [], ['ssh', 'other']]) {
    const page = await Stream.to(node, 'ssh', { protocols });
    assert.equal(page.ws.protocol, protocols[0] ?? '');
    await page.match(/^SSH-2\.0-OpenSSH_\S+.*\r\n/);
    // The server's answer to our own banner: its key exchange, whose packet names its algorithms.
    page.send('SSH-2.0-Encke_Test\r\n');
    await page.match(/curve25519-sha256/);
    await page.close();
  }
  const page = await Stream.to(node, 'ssh');
  page.send('GET / HTTP/1.1\r\n');
  await page.match(/Invalid SSH identification string/);
  assert.deepEqual(await page.closed, { code: 1000, reason: '' });
}));
