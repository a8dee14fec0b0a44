// The REST calls: the request of each method, lists of several pages, and commands.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/sdk/api.js';
import { Greenroom } from '../../static/sdk/greenroom.js';
import { memoryStorage } from './support.js';

function setup(answers = {}) {
  const calls = [];
  const http = {
    call: async (method, path, { body, query } = {}) => {
      const parameters = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
      calls.push([
        method,
        path,
        ...(body ? [body] : []),
        ...(parameters.length > 0 ? [Object.fromEntries(parameters)] : []),
      ]);
      const answer = answers[path];
      return (Array.isArray(answer) ? answer.shift() : answer) ?? { items: [], next_cursor: null, user_ids: [] };
    },
  };
  return { api: new Api({ http, auth: { token: async () => 't' } }), calls };
}

test('each method sends its request', async () => {
  const { api, calls } = setup();
  const until = new Date('2026-01-01T00:00:00.000Z');
  const expected = [
    [() => api.updateConversation('c', { name: 'n' }), ['PATCH', '/conversations/c', { name: 'n' }]],
    [
      () => api.createGroup('g', ['a'], 't'),
      ['POST', '/conversations', { type: 'group', name: 'g', participant_ids: ['a'], temp_id: 't' }],
    ],
    [() => api.leave('c'), ['DELETE', '/conversations/c']],
    [() => api.archive('c'), ['POST', '/conversations/c/archive']],
    [() => api.archive('c', false), ['DELETE', '/conversations/c/archive']],
    [() => api.mute('c'), ['POST', '/conversations/c/mute', {}]],
    [() => api.mute('c', until), ['POST', '/conversations/c/mute', { until: '2026-01-01T00:00:00.000Z' }]],
    [() => api.unmute('c'), ['DELETE', '/conversations/c/mute']],
    [() => api.pinConversation('c'), ['POST', '/conversations/c/pin']],
    [() => api.notifyLevel('c', 'none'), ['PUT', '/conversations/c/notify', { level: 'none' }]],
    [() => api.markRead('c', 4), ['POST', '/conversations/c/read', { seq: 4 }]],
    [() => api.online('c'), ['GET', '/conversations/c/online']],
    [() => api.typing('c'), ['GET', '/conversations/c/typing']],
    [() => api.stats('c'), ['GET', '/conversations/c/stats']],
    [() => api.statistics(), ['GET', '/conversations/stats']],
    [() => api.unreadCount(), ['GET', '/conversations/unread-count']],
    [() => api.member('c', 'ext:7/8'), ['GET', '/conversations/c/members/ext%3A7%2F8']],
    [() => api.setRole('c', 'ana', 'owner'), ['PUT', '/conversations/c/members/ana/role', { role: 'owner' }]],
    [() => api.message('m'), ['GET', '/messages/m']],
    [() => api.context('m', 10), ['GET', '/messages/m/context', { limit: 10 }]],
    [() => api.editMessage('c', 'm', 'x'), ['PATCH', '/conversations/c/messages/m', { content: 'x' }]],
    [() => api.deleteMessage('c', 'm'), ['DELETE', '/conversations/c/messages/m', { for: 'everyone' }]],
    [() => api.deleteMessage('c', 'm', 'me'), ['DELETE', '/conversations/c/messages/m', { for: 'me' }]],
    [() => api.history('c', 'm'), ['GET', '/conversations/c/messages/m/history', { limit: 100 }]],
    [() => api.receipts('c', 'm'), ['GET', '/conversations/c/messages/m/receipts']],
    [() => api.addReaction('c', 'm', '👍'), ['PUT', '/conversations/c/messages/m/reactions/%F0%9F%91%8D']],
    [
      () => api.removeReaction('c', 'm', '#️⃣'),
      ['DELETE', '/conversations/c/messages/m/reactions/%23%EF%B8%8F%E2%83%A3'],
    ],
    [() => api.reactions('c', 'm'), ['GET', '/conversations/c/messages/m/reactions', { limit: 100 }]],
    [() => api.pins('c'), ['GET', '/conversations/c/pins', { limit: 100 }]],
    [() => api.pinMessage('c', 'm'), ['PUT', '/conversations/c/messages/m/pin']],
    [() => api.pinMessage('c', 'm', false), ['DELETE', '/conversations/c/messages/m/pin']],
    [() => api.blocks(), ['GET', '/blocks', { limit: 100 }]],
    [() => api.block('ana'), ['POST', '/blocks', { user: 'ana' }]],
    [() => api.unblock('ana'), ['DELETE', '/blocks/ana']],
    [() => api.blockStatus('ana'), ['GET', '/blocks/ana/status']],
  ];
  for (const [call, request] of expected) {
    await call();
    assert.deepEqual(calls.at(-1), request);
  }
});

test('all pages of a list are read', async () => {
  const pages = [
    { items: [1, 2], next_cursor: 'next' },
    { items: [3], next_cursor: null },
  ];
  const { api, calls } = setup({ '/conversations': pages });
  assert.deepEqual(await api.conversations({ archived: true }), [1, 2, 3]);
  assert.deepEqual(calls, [
    ['GET', '/conversations', { archived: true, limit: 100 }],
    ['GET', '/conversations', { archived: true, limit: 100, cursor: 'next' }],
  ]);
});

test('reading members ends when the limit is reached', async () => {
  const pages = [1, 2, 3].map((number) => ({ items: [number, number], next_cursor: 'more' }));
  const { api, calls } = setup({ '/conversations/c/members': pages });
  assert.deepEqual(await api.members('c', { limit: 3 }), [1, 1, 2, 2]);
  assert.equal(calls.length, 2);
});

test('commands for a message are sent as frames, and fail without a connection', async () => {
  const client = new Greenroom({
    baseUrl: 'https://chat.example',
    storage: memoryStorage(),
    fetch: async () => {},
    WebSocket: class {},
    locks: null,
  });
  await assert.rejects(client.edit({ conversation_id: 'c', message_id: 'm', content: 'x' }), { code: 'disconnected' });
  const sent = [];
  client.connection.request = async (type, payload) => sent.push([type, payload]);
  const ids = { conversation_id: 'c', message_id: 'm' };
  await client.edit({ ...ids, content: 'x' });
  await client.delete(ids);
  await client.delete(ids, 'me');
  await client.react({ ...ids, emoji: '👍' });
  await client.react({ ...ids, emoji: '👍' }, false);
  assert.deepEqual(sent, [
    ['message.edit', { ...ids, content: 'x' }],
    ['message.delete', { ...ids, for: 'everyone' }],
    ['message.delete', { ...ids, for: 'me' }],
    ['reaction.add', { ...ids, emoji: '👍' }],
    ['reaction.remove', { ...ids, emoji: '👍' }],
  ]);
});
