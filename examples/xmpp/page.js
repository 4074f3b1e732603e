/**
 * The page: logs in to the web app, then to the XMPP server with the same password, through Encke.
 */
import { XmppLink } from '/xmpp-link.js';

const find = (id) => document.getElementById(id);
const tell = (text) => { find('status').textContent = text; };

function show(from, body) {
  const line = document.createElement('li');
  for (const [name, text] of [['from', `${from.split('@')[0]}: `], ['text', body]]) {
    const part = document.createElement('span');
    part.className = name;
    part.textContent = text;
    line.append(part);
  }
  find('messages').append(line);
}

async function enter(path, name, password) {
  const answer = await fetch(path, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name, password }),
  });
  const told = await answer.json();
  if (told.error) return tell(told.error);
  const [{ connect }, { tcp }] = await Promise.all([import(`${told.encke}/encke.js`), import(`${told.encke}/encke.tcp.js`)]);
  const token = async () => (await fetch('/token')).text();
  const stream = tcp(connect(told.url, { token }), 'xmpp');
  const link = new XmppLink(stream, { domain: told.domain, name, password });
  link.onmessage = ({ from, body }) => show(from, body);
  stream.closed.then(({ code, reason }) => {
    tell(`The chat ended: ${link.failure ?? (code === 'ok' ? 'the server closed it' : reason)}`);
    find('composer').hidden = true;
    find('entry').hidden = false;
  });
  tell('Connecting …');
  await link.ready;
  tell(`Here as ${link.address}`);
  find('entry').hidden = true;
  find('composer').hidden = false;
  find('log').href = '/log';
  find('composer').onsubmit = (event) => {
    event.preventDefault();
    link.send(`${find('to').value}@${told.domain}`, find('body').value);
    show(name, find('body').value);
    find('body').value = '';
  };
}

find('entry').onsubmit = (event) => {
  event.preventDefault();
  enter(event.submitter?.value ?? '/login', find('name').value, find('password').value).catch((error) => tell(error.message));
};
