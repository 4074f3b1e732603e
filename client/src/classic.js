/** The classic script's entry: makes what the module exports one global, `Encke`. */
import { connect, Encke, EnckeError, Subscription } from './index.js';

/** @type {any} */ (globalThis).Encke = { connect, Encke, Subscription, EnckeError };
