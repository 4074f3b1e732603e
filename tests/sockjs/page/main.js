// The page of the browser tests: one conversation with a service, by a client that is loaded beside this.
(function () {
  'use strict';
  var LIMIT = 15000;

  // As the document of htmlfile does by itself: where only one does, they are of different origins.
  document.domain = document.domain;

  function wait(what, later) {
    return new Promise(function (done, fail) {
      var timer = setTimeout(function () { fail(new Error('timed out waiting for ' + what())); }, LIMIT);
      later(function (value) { clearTimeout(timer); done(value); });
    });
  }

  /** Says texts, and answers what came back; then closes. */
  window.converse = function (url, transport, texts) {
    var got = [];
    var opened;
    var socket = new window.SockJS(url, null, transport ? { transports: [transport], timeout: 5000 } : {});
    return wait(function () { return (opened || 'open') + ': ' + got.length + ' of ' + texts.length; }, function (done) {
      socket.onopen = function () {
        opened = socket.transport;
        texts.forEach(function (text) { socket.send(text); });
      };
      socket.onmessage = function (event) {
        got.push(event.data);
        if (got.length === texts.length) socket.close();
      };
      socket.onclose = function (event) {
        done({ transport: opened, got: got, code: event.code, reason: event.reason, wasClean: event.wasClean });
      };
    });
  };

  /** Opens, waits for the first message, and answers what ends it. */
  window.listen = function (url, transport) {
    var got = [];
    var socket = new window.SockJS(url, null, { transports: [transport] });
    return wait(function () { return 'the end, after ' + got.length; }, function (done) {
      socket.onmessage = function (event) { got.push(event.data); window.heard = got.length; };
      socket.onclose = function (event) { done({ got: got, code: event.code, reason: event.reason, wasClean: event.wasClean }); };
    });
  };
  window.isReady = typeof window.SockJS === 'function';
}());
