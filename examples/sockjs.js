/** SockJS beside encke.js, in one room. */
import { bridge } from '/demo/bridge.js';
import { userUrl } from '/demo/common.js';
import { SockjsLink } from '/demo/sockjs-link.js';

bridge('sockjs', 'websocket', (channel, type, listener) => new SockjsLink(`${userUrl('Ada')}/sockjs`, channel, type, listener));
