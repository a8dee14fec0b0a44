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
  const successors = new Map();
  const used = new Set();
  const answer = (tokens) => {
    const lost = server.lost.shift();
    if (lost) throw new GreenroomError(lost);
    return tokens;
  };
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
    /** The time limits of refreshes. */
    limits: [],
    /** Answers to refreshes that are lost on the way, as the client notices it. */
    lost: [],
    /** Access tokens of the logins that were ended. */
    ended: [],
    /** Keeps the answers to refreshes until it is over. */
    held: null,
    async call(method, path, { body, token, limit } = {}) {
      server.calls.push(`${method} ${path}`);
      if (path === '/auth/refresh') server.limits.push(limit);
      await settle();
      if (path === '/auth/refresh') await server.held;
      const refusal = server.refuse?.(path, token);
      if (refusal) throw refusal;
      if (path === '/auth/login' || path === '/auth/register') return issue(server.expires_in);
      used.add(token);
      if (path === '/auth/logout') server.ended.push(token);
      if (path !== '/auth/refresh') return { token };
      const given = successors.get(body.refresh_token);
      if (given && !used.has(given.access_token)) return answer(given);
      if (!valid.delete(body.refresh_token)) throw new GreenroomError('token_reused', '', { status: 401 });
      spent.push(body.refresh_token);
      successors.set(body.refresh_token, issue());
      return answer(successors.get(body.refresh_token));
    },
  };
  return server;
}

/** Web Locks, as far as the SDK uses them. */
function fakeLocks() {
  let last = Promise.resolve();
  return { request: (_, task) => (last = last.then(task, task)) };
}

/** A channel of this origin, as far as the SDK uses it: everybody hears the others, a moment later. */
function fakeChannels() {
  const channels = [];
  return () => {
    const channel = {
      onmessage: null,
      postMessage: (data) =>
        channels.filter((other) => other !== channel).forEach((other) => setImmediate(() => other.onmessage({ data }))),
    };
    channels.push(channel);
    return channel;
  };
}

function tabs(count = 1, { locks = fakeLocks(), server = fakeServer(), channels = () => null } = {}) {
  const storage = memoryStorage();
  const make = () => new Auth({ http: server, storage, locks, channel: channels(), pause: settle });
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
  const { login, ...stored } = JSON.parse(storage.getItem('greenroom.login'));
  assert.deepEqual(stored, { user_id: 'u1', refresh_token: 'refresh-1' });
  assert.match(login, /^[0-9a-f-]{36}$/);
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

test('an answer that was lost or does not come in time is asked for again with the same token', async () => {
  const {
    server,
    auths: [auth],
  } = tabs();
  await auth.login({ login: 'ana', password: 'x' });
  server.lost = ['network', 'timeout', 'network'];
  assert.equal(await auth.refresh(), 'access-2');
  assert.deepEqual(server.spent, ['refresh-1']);
  assert.ok(
    server.limits.length === 4 && server.limits.every((limit) => limit <= 5_000),
    `a short limit for each attempt: ${server.limits}`,
  );
});

test('however many answers were lost, the login stays, and the next who asks gets the same successor', async () => {
  const {
    server,
    storage,
    auths: [auth],
  } = tabs();
  await auth.login({ login: 'ana', password: 'x' });
  server.lost = Array(8).fill('timeout');
  for (let asked = 0; asked < 2; asked += 1) await assert.rejects(auth.refresh(), { code: 'timeout' });
  assert.notEqual(storage.getItem('greenroom.login'), null);
  assert.equal(await auth.refresh(), 'access-2');
  assert.equal(await auth.token(), 'access-2');
  assert.deepEqual(server.spent, ['refresh-1']);
});

test('what is stored is read before every attempt', async () => {
  const { server, auths } = tabs(2, { locks: null });
  const locked = { request: (_, task) => task() };
  const storage = memoryStorage();
  const [one, two] = [1, 2].map(() => new Auth({ http: server, storage, locks: locked, pause: settle }));
  assert.equal(auths.length, 2);
  await one.login({ login: 'ana', password: 'x' });
  server.lost = ['network'];
  const slow = one.refresh();
  await settle();
  // while it pauses, the other tab spends the token, and what it got is used
  assert.equal(await two.refresh(), 'access-2');
  await server.call('GET', '/users/me', { token: 'access-2' });
  await slow;
  assert.equal(one.signedIn, true);
  assert.equal(new Set(server.spent).size, server.spent.length);
});

test('the new pair is stored before it is used', async () => {
  const server = fakeServer();
  const storage = memoryStorage();
  const auth = new Auth({ http: server, storage, locks: fakeLocks(), pause: settle });
  await auth.login({ login: 'ana', password: 'x' });
  storage.setItem = () => {
    throw new Error('the storage is full');
  };
  await assert.rejects(auth.refresh(), /full/);
  assert.equal(await auth.token(), 'access-1', 'what could not be stored is not used');
});

test('one tab refreshes for all that hear of it', async () => {
  const { server, auths } = tabs(5, { channels: fakeChannels() });
  await auths[0].login({ login: 'ana', password: 'x' });
  await settle();
  const tokens = await Promise.all(auths.map((auth) => auth.token({ fresh: true })));
  assert.deepEqual([...new Set(tokens)], ['access-2']);
  assert.deepEqual(server.spent, ['refresh-1']);
  assert.equal(auths[4].user.id, 'u1');
  // a token of another login of the same user is none of theirs
  auths[1].storageChanged();
  assert.equal(await auths[1].token(), 'access-2');
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

/** A tab that was just loaded and refreshes its token, whose answer waits for `release`. */
async function refreshing(count = 1) {
  const { server, storage, auths } = tabs(count + 1);
  await auths[0].login({ login: 'ana', password: 'x' });
  let release;
  server.held = new Promise((done) => (release = done));
  const auth = auths[1];
  const told = [];
  auth.on('signed-out', (code) => told.push(code));
  const answer = auth.refresh().catch((error) => error.code);
  await settle();
  return { server, storage, auth, first: auths[0], told, answer, release };
}

test('a refresh that answers after signing out brings nothing back, and the login ends at the server', async () => {
  const { server, storage, auth, told, answer, release } = await refreshing();
  const leaving = auth.logout();
  assert.equal(auth.signedIn, false);
  release();
  await leaving;
  assert.equal(await answer, 'signed_out');
  assert.deepEqual([auth.user, storage.getItem('greenroom.login'), told], [null, null, ['logout']]);
  assert.deepEqual(server.ended, ['access-2']);
  assert.deepEqual(server.spent, ['refresh-1']);
});

test('a refresh that answers after signing out in another tab brings nothing back either', async () => {
  const { server, storage, auth, first, told, answer, release } = await refreshing();
  await first.logout();
  auth.storageChanged();
  release();
  assert.equal(await answer, 'signed_out');
  assert.deepEqual([auth.user, storage.getItem('greenroom.login'), told], [null, null, ['elsewhere']]);
  assert.deepEqual(server.ended, ['access-1', 'access-2']);
});

test('a refresh that is refused after signing in again leaves the new login alone', async () => {
  for (const refused of [false, true]) {
    const { server, storage, auth, answer, release } = await refreshing();
    const leaving = auth.logout();
    await auth.login({ login: 'ana', password: 'x' });
    const now = storage.getItem('greenroom.login');
    server.refuse = (path) => refused && path === '/auth/refresh' && new GreenroomError('revoked', '', { status: 401 });
    release();
    await leaving;
    await answer;
    assert.equal(storage.getItem('greenroom.login'), now);
    assert.equal(await auth.token(), 'access-2');
    server.refuse = null;
    assert.equal(await auth.token({ fresh: true }), refused ? 'access-3' : 'access-4');
    assert.deepEqual(server.ended, refused ? [] : ['access-3']);
  }
});

test('a description that comes after signing out describes nobody', async () => {
  const {
    auths: [auth],
  } = tabs();
  await auth.login({ login: 'ana', password: 'x' });
  await auth.logout();
  auth.describe(ANA);
  assert.equal(auth.user, null);
});

test('signing out without a token at hand gets one to end the login with', async () => {
  const { server, storage, auths } = tabs(2);
  await auths[0].login({ login: 'ana', password: 'x' });
  await auths[1].logout();
  assert.deepEqual([server.ended, storage.getItem('greenroom.login')], [['access-2'], null]);
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
