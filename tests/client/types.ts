// The public types are what the sources make true, and a program that uses them passes. Checked by tsc, never run.
import * as made from '../../client/src/index.js';
import * as said from '../../client/encke.js';
import * as madeTcp from '../../client/src/tcp.js';
import * as saidTcp from '../../client/encke.tcp.js';

type Public<T> = { [K in keyof T]: T[K] };
export const connects: (...args: Parameters<typeof said.connect>) => Omit<Public<said.Encke>, 'on' | 'subscribe'> = made.connect;
export const fails: (one: InstanceType<typeof made.EnckeError>) => said.EnckeError = (one) => one;

export async function program(): Promise<string> {
  const encke = said.connect('/u/alice', { token: async () => 'jwt', transports: ['ws', 'longpoll'] });
  encke.on('state', ({ state, cause, at }) => console.log(state, cause?.kind, at));
  const room = encke.subscribe<{ text: string }>('/chat/*', (message) => message.data.text.trim(), { last: 20, presence: true, conflate: 500 });
  room.on('presence', ({ count }) => count.toFixed());
  await room;
  for await (const message of encke.subscribe('/news', { signal: AbortSignal.timeout(1) })) console.log(message.id);
  // @ts-expect-error there is no such transport
  said.connect('/u/alice', { transports: ['pigeon'] });
  return encke.publish('/chat/1', { text: 'hi' });
}

type Made<T> = { [K in keyof T]: T[K] };
export const opens: (...args: Parameters<typeof saidTcp.tcp>) => Made<saidTcp.TcpStream> = madeTcp.tcp;
export const shapes: (...args: ConstructorParameters<typeof saidTcp.TcpWebSocket>) => saidTcp.TcpWebSocket = (...args) => new madeTcp.TcpWebSocket(...args);
export const sockets: () => saidTcp.TCPSocket = () => new madeTcp.TCPSocket();

export async function streams(): Promise<string> {
  const stream = said.connect('/u/alice').tcp('irc', { window: 65_536 });
  await stream.opened;
  await stream.writable.getWriter().write('NICK alice\r\n');
  for await (const bytes of stream.readable) console.log(bytes.length);
  // @ts-expect-error a host needs a port
  said.connect('/u/alice').tcp({ host: 'irc.example.com' });
  const socket = saidTcp.webSocket(said.connect('/u/alice'), { host: 'h', port: 22 }, { text: true });
  socket.addEventListener('message', ({ type }) => type.trim());
  return (await stream.closed).code;
}
