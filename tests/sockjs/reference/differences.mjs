// Where sockjs-node 0.3.24 does something else than a test asks for, and why the test asks for it all the same.

/** @type {Record<string, string>} names of tests and what sockjs-node does */
export const DIFFERENCES = {
  'the origin null is repeated for event sources too': 'sends an asterisk, with which a page of that origin cannot send credentials',
  'an empty callback is none': 'makes a session and a script that is a syntax error',
  'nothing in a message ends a script or hides its end': 'lets a message end the script, and begin one of its own',
  'a script in a message by htmlfile stays text': 'lets the message end the script, so that the page never gets it',
  'a session belongs to its service': 'has one table for all services, so that one opens the sessions of another',
  'a frame that comes with the handshake of a socket is read': 'loses what comes in one piece with the handshake',
  'JSON that is no array of strings is refused or stands for strings, and the session goes on':
    'answers its own exception to an object whose toString is no function',
  'a cookie cannot break its header': 'repeats any cookie as it came',
};
