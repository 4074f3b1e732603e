/** All that pages may use. */
import { EnckeError } from './base.js';
import { Encke, connect } from './client.js';
import { Subscription } from './subscription.js';
import { defineStatus } from './status.js';

defineStatus();

export { connect, Encke, Subscription, EnckeError };
