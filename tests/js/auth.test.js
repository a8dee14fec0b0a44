// Tokens: one refresh at a time, in one tab and in several tabs, and the end of a login.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/sdk/api.js';
import { Auth } from '../../static/sdk/auth.js';
import { GreenroomError } from '../../static/sdk/errors.js';
import { memoryStorage, settle } from './support.js';

const ANA = { id: 'u1', username: 'ana', display_name: 'Ana' };

/** A server that rotates refresh tokens, and refuses the second use of one. */
function fakeServer() {
  let number = 0;
  const spentTokens = [];
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
    spentTokens,
    refuse: null,
    calls: [],
    /** The timeouts of the refresh requests, in milliseconds. */
    timeouts: [],
    /** The error codes that the client gets for lost answers to refreshes. */
    lost: [],
    /** The access tokens that ended a login. */
    endTokens: [],
    /** A promise that the answers to refreshes wait for. */
    heldUntil: null,
    async call(method, path, { body, token, timeoutMs } = {}) {
      server.calls.push(`${method} ${path}`);
      if (path === '/auth/refresh') server.timeouts.push(timeoutMs);
      await settle();
      if (path === '/auth/refresh') await server.heldUntil;
      const refusal = server.refuse?.(path, token);
      if (refusal) throw refusal;
      if (path === '/auth/login' || path === '/auth/register') return issue(server.expires_in);
      used.add(token);
      if (path === '/auth/logout') server.endTokens.push(token);
      if (path !== '/auth/refresh') return { token };
      const successor = successors.get(body.refresh_token);
      if (successor && !used.has(successor.access_token)) return answer(successor);
      if (!valid.delete(body.refresh_token)) throw new GreenroomError('token_reused', '', { status: 401 });
      spentTokens.push(body.refresh_token);
      successors.set(body.refresh_token, issue());
      return answer(successors.get(body.refresh_token));
    },
  };
  return server;
}

/** The part of the Web Locks API that the SDK uses. */
function fakeLocks() {
  let last = Promise.resolve();
  return { request: (_, task) => (last = last.then(task, task)) };
}

/** The part of BroadcastChannel that the SDK uses: all other channels get each message, a moment later. */
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

function createTabs(count = 1, { locks = fakeLocks(), server = fakeServer(), channels = () => null } = {}) {
  const storage = memoryStorage();
  const createAuth = () => new Auth({ http: server, storage, locks, channel: channels(), pause: settle });
  return { server, storage, auths: Array.from({ length: count }, createAuth) };
}

test('after login the access token is in memory, and only the refresh token is in storage', async () => {
  const {
    server,
    storage,
    auths: [auth],
  } = createTabs();
  await auth.login({ login: 'ana', password: 'x' });
  assert.equal(await auth.token(), 'access-1');
  assert.equal(server.calls.length, 1);
  const { login, ...stored } = JSON.parse(storage.getItem('greenroom.login'));
  assert.deepEqual(stored, { user_id: 'u1', refresh_token: 'refresh-1' });
  assert.match(login, /^[0-9a-f-]{36}$/);
});

test('an expiring token is replaced before it is used', async () => {
  const {
    server,
    auths: [auth],
  } = createTabs();
  server.expires_in = 20;
  await auth.login({ login: 'ana', password: 'x' });
  assert.equal(await auth.token(), 'access-2');
});

test('many callers share one refresh', async () => {
  const {
    server,
    auths: [auth],
  } = createTabs();
  await auth.login({ login: 'ana', password: 'x' });
  const tokens = await Promise.all([1, 2, 3].map(() => auth.token({ fresh: true })));
  assert.deepEqual(tokens, ['access-2', 'access-2', 'access-2']);
  assert.deepEqual(server.spentTokens, ['refresh-1']);
});

for (const [name, locks] of [
  ['with Web Locks', fakeLocks()],
  ['without Web Locks', null],
]) {
  test(`tabs take turns and never use a refresh token twice, ${name}`, async () => {
    const { server, auths } = createTabs(3, { locks });
    await auths[0].login({ login: 'ana', password: 'x' });
    const tokens = await Promise.all(auths.map((auth) => auth.token({ fresh: true })));
    assert.equal(new Set(tokens).size, 3);
    assert.deepEqual(server.spentTokens, ['refresh-1', 'refresh-2', 'refresh-3']);
  });
}

test('after a lost or late answer the refresh is repeated with the same token', async () => {
  const {
    server,
    auths: [auth],
  } = createTabs();
  await auth.login({ login: 'ana', password: 'x' });
  server.lost = ['network', 'timeout', 'network'];
  assert.equal(await auth.refresh(), 'access-2');
  assert.deepEqual(server.spentTokens, ['refresh-1']);
  assert.ok(
    server.timeouts.length === 4 && server.timeouts.every((timeoutMs) => timeoutMs <= 5_000),
    `a short timeout for each attempt: ${server.timeouts}`,
  );
});

test('the login stays however many answers are lost, and the next refresh gets the same pair', async () => {
  const {
    server,
    storage,
    auths: [auth],
  } = createTabs();
  await auth.login({ login: 'ana', password: 'x' });
  server.lost = Array(8).fill('timeout');
  for (let round = 0; round < 2; round += 1) await assert.rejects(auth.refresh(), { code: 'timeout' });
  assert.notEqual(storage.getItem('greenroom.login'), null);
  assert.equal(await auth.refresh(), 'access-2');
  assert.equal(await auth.token(), 'access-2');
  assert.deepEqual(server.spentTokens, ['refresh-1']);
});

test('the storage is read before every attempt', async () => {
  const { server, auths } = createTabs(2, { locks: null });
  const locked = { request: (_, task) => task() };
  const storage = memoryStorage();
  const [one, two] = [1, 2].map(() => new Auth({ http: server, storage, locks: locked, pause: settle }));
  assert.equal(auths.length, 2);
  await one.login({ login: 'ana', password: 'x' });
  server.lost = ['network'];
  const slow = one.refresh();
  await settle();
  // During the pause the other tab uses the refresh token, and its new access token is used.
  assert.equal(await two.refresh(), 'access-2');
  await server.call('GET', '/users/me', { token: 'access-2' });
  await slow;
  assert.equal(one.signedIn, true);
  assert.equal(new Set(server.spentTokens).size, server.spentTokens.length);
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
  assert.equal(await auth.token(), 'access-1', 'a pair that could not be stored is not used');
});

test('one tab refreshes for all tabs on the channel', async () => {
  const { server, auths } = createTabs(5, { channels: fakeChannels() });
  await auths[0].login({ login: 'ana', password: 'x' });
  await settle();
  const tokens = await Promise.all(auths.map((auth) => auth.token({ fresh: true })));
  assert.deepEqual([...new Set(tokens)], ['access-2']);
  assert.deepEqual(server.spentTokens, ['refresh-1']);
  assert.equal(auths[4].user.id, 'u1');
  // A storage event does not end the login if the stored user is the same.
  auths[1].storageChanged();
  assert.equal(await auths[1].token(), 'access-2');
});

test('an unreachable server does not end the login', async () => {
  const {
    server,
    storage,
    auths: [auth],
  } = createTabs();
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

test('a login that the server ended is removed, and signed-out is emitted', async () => {
  const {
    server,
    storage,
    auths: [auth],
  } = createTabs();
  await auth.login({ login: 'ana', password: 'x' });
  const signedOutCodes = [];
  auth.on('signed-out', (code) => signedOutCodes.push(code));
  server.refuse = () => new GreenroomError('token_reused', '', { status: 401 });
  await assert.rejects(auth.token({ fresh: true }), { code: 'signed_out' });
  assert.deepEqual(
    [signedOutCodes, storage.getItem('greenroom.login'), auth.signedIn],
    [['token_reused'], null, false],
  );
});

test('signing out in one tab signs the other tab out', async () => {
  const {
    auths: [one, two],
  } = createTabs(2);
  await one.login({ login: 'ana', password: 'x' });
  await two.refresh();
  const signedOutCodes = [];
  two.on('signed-out', (code) => signedOutCodes.push(code));
  await one.logout();
  two.storageChanged();
  assert.deepEqual(signedOutCodes, ['elsewhere']);
});

/** Starts a refresh in a tab that was just loaded. The answer waits for `release`. */
async function startRefresh(count = 1) {
  const { server, storage, auths } = createTabs(count + 1);
  await auths[0].login({ login: 'ana', password: 'x' });
  let release;
  server.heldUntil = new Promise((done) => (release = done));
  const auth = auths[1];
  const signedOutCodes = [];
  auth.on('signed-out', (code) => signedOutCodes.push(code));
  const answer = auth.refresh().catch((error) => error.code);
  await settle();
  return { server, storage, auth, first: auths[0], signedOutCodes, answer, release };
}

test('a refresh that is answered after signing out stores nothing, and the login ends on the server', async () => {
  const { server, storage, auth, signedOutCodes, answer, release } = await startRefresh();
  const logout = auth.logout();
  assert.equal(auth.signedIn, false);
  release();
  await logout;
  assert.equal(await answer, 'signed_out');
  assert.deepEqual([auth.user, storage.getItem('greenroom.login'), signedOutCodes], [null, null, ['logout']]);
  assert.deepEqual(server.endTokens, ['access-2']);
  assert.deepEqual(server.spentTokens, ['refresh-1']);
});

test('a refresh that is answered after signing out in another tab stores nothing', async () => {
  const { server, storage, auth, first, signedOutCodes, answer, release } = await startRefresh();
  await first.logout();
  auth.storageChanged();
  release();
  assert.equal(await answer, 'signed_out');
  assert.deepEqual([auth.user, storage.getItem('greenroom.login'), signedOutCodes], [null, null, ['elsewhere']]);
  assert.deepEqual(server.endTokens, ['access-1', 'access-2']);
});

test('a refresh that is answered or refused after signing in again does not change the new login', async () => {
  for (const refused of [false, true]) {
    const { server, storage, auth, answer, release } = await startRefresh();
    const logout = auth.logout();
    await auth.login({ login: 'ana', password: 'x' });
    const now = storage.getItem('greenroom.login');
    server.refuse = (path) => refused && path === '/auth/refresh' && new GreenroomError('revoked', '', { status: 401 });
    release();
    await logout;
    await answer;
    assert.equal(storage.getItem('greenroom.login'), now);
    assert.equal(await auth.token(), 'access-2');
    server.refuse = null;
    assert.equal(await auth.token({ fresh: true }), refused ? 'access-3' : 'access-4');
    assert.deepEqual(server.endTokens, refused ? [] : ['access-3']);
  }
});

test('a user description that comes after signing out is ignored', async () => {
  const {
    auths: [auth],
  } = createTabs();
  await auth.login({ login: 'ana', password: 'x' });
  await auth.logout();
  auth.updateUser(ANA);
  assert.equal(auth.user, null);
});

test('signing out without an access token gets one to end the login', async () => {
  const { server, storage, auths } = createTabs(2);
  await auths[0].login({ login: 'ana', password: 'x' });
  await auths[1].logout();
  assert.deepEqual([server.endTokens, storage.getItem('greenroom.login')], [['access-2'], null]);
});

test('a call with a refused token is repeated once with a fresh token', async () => {
  const {
    server,
    auths: [auth],
  } = createTabs();
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

test('with broken storage no user is signed in', () => {
  for (const value of ['{', 'null', '7', '{"user_id":"u1"}']) {
    const auth = new Auth({ http: fakeServer(), storage: memoryStorage({ 'greenroom.login': value }) });
    assert.equal(auth.signedIn, false, value);
  }
});
