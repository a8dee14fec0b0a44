// A client with a fake connection and a fake REST API.
// This file contains the fakes. It must not contain assertions; those belong to the tests.

import { Emitter } from '../../static/sdk/emitter.js';
import { Sync } from '../../static/sdk/sync.js';
import { FakeTime, WELCOME, settle } from './support.js';

class FakeConnection extends Emitter {
  requests = [];
  sent = [];
  restarts = 0;

  request(type, payload) {
    return new Promise((resolve, reject) => this.requests.push({ type, payload, resolve, reject }));
  }

  send(type, payload) {
    this.sent.push({ type, payload });
  }

  restart() {
    this.restarts += 1;
    this.emit('close', 1006);
  }
}

export function setup({ conversations = [{ id: 'c', last_rev: 5 }], api = {}, random } = {}) {
  const connection = new FakeConnection();
  const time = new FakeTime();
  const pages = { c: { items: [], rev: 9 } };
  const sync = new Sync({
    connection,
    time,
    random,
    api: {
      conversations: async () => conversations,
      conversation: async (id) => ({ id, last_rev: 9 }),
      messages: async (id) => pages[id],
      ...api,
    },
  });
  const seen = [];
  for (const name of ['snapshot', 'reload', 'gone', 'ready', 'unready', 'reads'])
    sync.on(name, (value) => seen.push([name, value]));
  sync.on('event', (frame) => seen.push(['event', frame.rev ?? frame.type]));
  const names = () => seen.map(([name]) => name);
  const answerSync = (answer = {}) =>
    connection.requests.at(-1).resolve({ conversations: {}, reads: {}, user_rev: 3, denied: [], ...answer });
  const start = async () => {
    connection.emit('open', WELCOME);
    await settle();
    answerSync();
    await settle();
  };
  return { connection, time, sync, seen, names, answerSync, start };
}

export const event = (rev, id = 'c') => ({
  type: 'message.new',
  stream: 'conversation',
  rev,
  payload: { conversation_id: id },
});
export const userEvent = (type, rev, payload) => ({ type, stream: 'user', rev, payload });
