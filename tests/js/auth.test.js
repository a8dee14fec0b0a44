// Tokens: one refresh at a time, in one tab and across tabs, and what ends a login.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/sdk/api.js';
import { Auth } from '../../static/sdk/auth.js';
import { GreenroomError } from '../../static/sdk/errors.js';
import { memoryStorage, settle } from './support.js';

const ANA = { id: 'u1', username: 'ana', display_name: 'Ana' };

/** A server that rotates refresh tokens and notices when one is spent twice. */
function fakeServer() {
  let number = 0;
  const spent = [];
  const valid = new Set();
  const issue = (expires_in = 900) => {
    number += 1;
    valid.add(`refresh-${number}`);
    return {
      user: ANA,
      access_token: `access-${number}`,
      refresh_token: `refresh-${number}`,
      token_type: 'Bearer',
      expires_in,
    };
  };
  const server = {
    expires_in: 900,
    spent,
    refuse: null,
    calls: [],
    async call(method, path, { body, token } = {}) {
      server.calls.push(`${method} ${path}`);
      await settle();
      if (server.refuse) throw server.refuse(path, token);
      if (path === '/auth/login' || path === '/auth/register') return issue(server.expires_in);
      if (path !== '/auth/refresh') return { token };
      if (!valid.delete(body.refresh_token)) throw new GreenroomError('token_reused', '', { status: 401 });
      spent.push(body.refresh_token);
      return issue();
    },
  };
  return server;
}

/** Web Locks, as far as the SDK uses them. */
function fakeLocks() {
  let last = Promise.resolve();
  return { request: (_, task) => (last = last.then(task, task)) };
}

function tabs(count = 1, { locks = fakeLocks(), server = fakeServer() } = {}) {
  const storage = memoryStorage();
  const make = () => new Auth({ http: server, storage, locks });
  return { server, storage, auths: Array.from({ length: count }, make) };
}

test('after signing in the token is at hand, and only the refresh token is on the device', async () => {
  const {
    server,
    storage,
    auths: [auth],
  } = tabs();
  await auth.login({ login: 'ana', password: 'x' });
  assert.equal(await auth.token(), 'access-1');
  assert.equal(server.calls.length, 1);
  assert.deepEqual(JSON.parse(storage.getItem('greenroom.login')), { user_id: 'u1', refresh_token: 'refresh-1' });
});

test('a token about to end is replaced before it is used', async () => {
  const {
    server,
    auths: [auth],
  } = tabs();
  server.expires_in = 20;
  await auth.login({ login: 'ana', password: 'x' });
  assert.equal(await auth.token(), 'access-2');
});

test('many callers share one refresh', async () => {
  const {
    server,
    auths: [auth],
  } = tabs();
  await auth.login({ login: 'ana', password: 'x' });
  const tokens = await Promise.all([1, 2, 3].map(() => auth.token({ fresh: true })));
  assert.deepEqual(tokens, ['access-2', 'access-2', 'access-2']);
  assert.deepEqual(server.spent, ['refresh-1']);
});

for (const [name, locks] of [
  ['with Web Locks', fakeLocks()],
  ['without', null],
]) {
  test(`tabs take turns and never spend a token twice, ${name}`, async () => {
    const { server, auths } = tabs(3, { locks });
    await auths[0].login({ login: 'ana', password: 'x' });
    const tokens = await Promise.all(auths.map((auth) => auth.token({ fresh: true })));
    assert.equal(new Set(tokens).size, 3);
    assert.deepEqual(server.spent, ['refresh-1', 'refresh-2', 'refresh-3']);
  });
}

test('an answer that was lost is asked for again at once with the same token', async () => {
  const {
    server,
    auths: [auth],
  } = tabs();
  await auth.login({ login: 'ana', password: 'x' });
  let lost = 0;
  server.refuse = () => {
    lost += 1;
    server.refuse = null;
    return new GreenroomError('network');
  };
  assert.equal(await auth.refresh(), 'access-2');
  assert.equal(lost, 1);
});

test('a server that is away ends no login', async () => {
  const {
    server,
    storage,
    auths: [auth],
  } = tabs();
  await auth.login({ login: 'ana', password: 'x' });
  for (const failure of [
    new GreenroomError('network'),
    new GreenroomError('unavailable', '', { status: 503 }),
    new GreenroomError('rate_limited', '', { status: 429 }),
  ]) {
    server.refuse = () => failure;
    await assert.rejects(auth.token({ fresh: true }), { code: failure.code });
  }
  assert.notEqual(storage.getItem('greenroom.login'), null);
});

test('a login that the server ended is forgotten and told', async () => {
  const {
    server,
    storage,
    auths: [auth],
  } = tabs();
  await auth.login({ login: 'ana', password: 'x' });
  const told = [];
  auth.on('signed-out', (code) => told.push(code));
  server.refuse = () => new GreenroomError('token_reused', '', { status: 401 });
  await assert.rejects(auth.token({ fresh: true }), { code: 'signed_out' });
  assert.deepEqual([told, storage.getItem('greenroom.login'), auth.signedIn], [['token_reused'], null, false]);
});

test('signing out in one tab is heard in the other', async () => {
  const {
    auths: [one, two],
  } = tabs(2);
  await one.login({ login: 'ana', password: 'x' });
  await two.refresh();
  const told = [];
  two.on('signed-out', (code) => told.push(code));
  await one.logout();
  two.storageChanged();
  assert.deepEqual(told, ['elsewhere']);
});

test('a call that is refused for its token is made once more with a fresh one', async () => {
  const {
    server,
    auths: [auth],
  } = tabs();
  await auth.login({ login: 'ana', password: 'x' });
  const api = new Api({ http: server, auth });
  server.refuse = (path, token) => {
    if (path === '/users/me' && token === 'access-1') {
      server.refuse = null;
      return new GreenroomError('unauthorized', '', { status: 401 });
    }
    return null;
  };
  assert.deepEqual(await api.me(), { token: 'access-2' });
});

test('broken storage is nobody signed in', () => {
  for (const value of ['{', 'null', '7', '{"user_id":"u1"}']) {
    const auth = new Auth({ http: fakeServer(), storage: memoryStorage({ 'greenroom.login': value }) });
    assert.equal(auth.signedIn, false, value);
  }
});
