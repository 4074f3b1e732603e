// The public types are what the sources make true, and a program that uses them passes. Checked by tsc, never run.
import * as made from '../../client/src/index.js';
import * as said from '../../client/encke.js';

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
