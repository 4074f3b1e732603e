// Debian's ngIRCd in a test's folder.
import { program } from './rig.mjs';

export const WEBIRC_PASSWORD = 'of-the-gateway';

/** Starts it at a port. Answers its process. */
export function startNgircd(place, port) {
  place.write('motd', 'An IRC server of the tests.\n');
  const config = place.write('ngircd.conf', `
[Global]
Name = irc.example.com
Info = Tests
Listen = 127.0.0.1
Ports = ${port}
MotdFile = ${place.path('motd')}
[Options]
DNS = no
Ident = no
PAM = no
WebircPassword = ${WEBIRC_PASSWORD}
[Limits]
MaxConnectionsIP = 0
`);
  return place.serve(program('ngircd'), ['--nodaemon', '--config', config], /Now listening on/);
}
