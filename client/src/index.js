/** The module's entry: what pages may use. */
import { EnckeError } from './base.js';
import { Encke, connect } from './client.js';
import { defineStatus } from './status.js';
import { Subscription } from './subscription.js';

defineStatus();

export { connect, Encke, Subscription, EnckeError };
