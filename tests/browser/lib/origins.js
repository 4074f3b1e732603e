'use strict';
// A server and pages of two origins: one that the server lists, and one that it does not.
const { EnckeNode } = require('./node');
const { servePages } = require('./pages');

/** Makes a browser test of `work(browser, { node, known, foreign })`; a failure shows the end of the server's log. */
const withOrigins = (work) => async (browser, binary) => {
  const [known, foreign] = [await servePages(), await servePages()];
  const node = new EnckeNode(binary, { ENCKE_ORIGINS: known.origin });
  try {
    await node.start();
    await work(browser, { node, known, foreign });
  } catch (error) {
    error.message += `\nthe end of the server's log:\n${node.log.slice(-2000)}`;
    throw error;
  } finally {
    known.close();
    foreign.close();
    await node.end();
  }
};

module.exports = { withOrigins };
