/** CometD beside encke.js, in one room. */
import { BayeuxLink } from '/demo/bayeux-link.js';
import { bridge } from '/demo/bridge.js';
import { userUrl } from '/demo/common.js';

bridge('bayeux', 'websocket', (channel, type, listener) => new BayeuxLink(`${userUrl('Ada')}/bayeux`, channel, type, listener));
