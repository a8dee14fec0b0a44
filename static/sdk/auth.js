// The login of this device.
// This file contains register, login, logout, and the renewal of the access token. The refresh token is in storage,
// which all tabs share. The access token is in memory only, so that storage holds nothing that works longer than one
// refresh. One tab refreshes for all: it sends the new access token to the others over a channel of this origin, also
// in memory. This file must not contain calls that only need a token (api.js), or code for the socket.

import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { GreenroomError } from './errors.js';
import { uuid } from './ids.js';
import { withTabLock } from './lock.js';

/** An access token that expires sooner than this is renewed before it is used, in milliseconds. */
const MIN_LIFETIME_MS = 30_000;
/**
 * The longest wait for the answer to one refresh request, in milliseconds. It is short, because a retry is harmless.
 */
const REFRESH_TIMEOUT_MS = 5_000;
/** The number of requests of one refresh if answers are lost. The next refresh starts again: the login stays. */
const REFRESH_ATTEMPTS = 4;
/** How long a tab waits for the access token that another tab got just now, in milliseconds. */
const CHANNEL_WAIT_MS = 300;

/**
 * The login of this device.
 *
 * Emits `signed-in` (user), `signed-out` (code) and `user` (user), when the description of the user changed.
 */
export class Auth extends Emitter {
  #http;
  #storage;
  #locks;
  #key;
  #channel;
  #pause;
  #access = null;
  #refreshing = null;
  /** The login whose refresh is under way. */
  #refreshingLogin = null;
  /** The id of the user for whom this tab works. Other tabs can change the stored login. */
  #currentUserId;

  /** The signed-in user, as the server described them last; null until the first answer. */
  user = null;

  /**
   * @param {{http: import('./http.js').Http, storage: Storage, locks?: LockManager, channel?: BroadcastChannel|null,
   *   key?: string, pause?: (ms: number) => Promise<void>}} options `channel`: shared by all tabs that share the
   *   storage; `key`: the storage key of the login
   */
  constructor({ http, storage, locks, channel = null, key = 'greenroom.login', pause = sleep }) {
    super();
    this.#http = http;
    this.#storage = storage;
    this.#locks = locks;
    this.#key = key;
    this.#channel = channel;
    this.#pause = pause;
    if (channel) channel.onmessage = ({ data }) => this.#takeToken(data);
    this.#currentUserId = this.userId;
  }

  /** Whether this device holds a login. The server may have ended it already. */
  get signedIn() {
    return this.#readStored() !== null;
  }

  /** The id of the user whose login this device holds; null if there is none. The server is not asked. */
  get userId() {
    return this.#readStored()?.user_id ?? null;
  }

  /**
   * Creates an account and signs this device in.
   * @param {{username: string, password: string, display_name?: string, email?: string}} fields
   * @returns {Promise<object>} the user
   * @throws {GreenroomError} the refusal of the server
   */
  async register(fields) {
    return this.#startLogin(await this.#http.call('POST', '/auth/register', { body: fields }));
  }

  /**
   * Signs this device in.
   * @param {{login: string, password: string}} fields `login` is the username or the email address
   * @returns {Promise<object>} the user
   * @throws {GreenroomError} the refusal of the server
   */
  async login(fields) {
    return this.#startLogin(await this.#http.call('POST', '/auth/login', { body: fields }));
  }

  /**
   * Returns an access token that is valid for at least 30 seconds.
   * @param {{fresh?: boolean}} [options] `fresh`: the server refused the present token, so get another one
   * @returns {Promise<string>}
   * @throws {GreenroomError} `signed_out` if there is no login any more; `network`, `timeout` or an error of the server
   *   if the refresh failed
   */
  async token({ fresh = false } = {}) {
    if (!this.signedIn) {
      this.storageChanged();
      throw new GreenroomError('signed_out', 'No user is signed in on this device.');
    }
    if (!fresh && this.#access && this.#access.expiresAt - Date.now() > MIN_LIFETIME_MS) return this.#access.token;
    return this.refresh();
  }

  /**
   * Gets a new access token for the refresh token. All callers in a tab share one request; tabs take turns.
   * @returns {Promise<string>} the access token
   * @throws {GreenroomError} as `token`
   */
  refresh() {
    if (this.#refreshing) return this.#refreshing;
    const [access, before] = [this.#access, this.#readStored()?.refresh_token];
    this.#currentUserId ??= this.userId;
    const task = async () => (await this.#tokenFromOtherTab(access, before)) ?? this.#refreshLogin(this.#readStored());
    const refreshing = this.#withLock(task).finally(() => {
      if (this.#refreshing === refreshing) this.#refreshing = this.#refreshingLogin = null;
    });
    this.#refreshing = refreshing;
    return refreshing;
  }

  /**
   * Ends this login. The device forgets it immediately, even if the server cannot be reached. The server needs an
   * access token to end the login: the present one, else that of a running refresh, else one that is requested for this
   * purpose.
   */
  async logout() {
    const login = this.#readStored();
    const access = this.#access;
    const refreshing = this.#refreshingLogin && this.#refreshing;
    this.#endOnDevice('logout');
    if (access && access.expiresAt > Date.now()) await this.#endOnServer(access.token);
    else if (login) await (refreshing ?? this.#withLock(() => this.#endByRefresh(login))).catch(() => {});
  }

  /** Follows a change that another tab made to the stored login. */
  storageChanged() {
    const stored = this.#readStored();
    if (this.#currentUserId !== null && stored?.user_id !== this.#currentUserId)
      this.#endOnDevice('elsewhere', { keep: stored !== null });
  }

  /** Updates the description of the signed-in user. Ignores the user of a login that ended meanwhile. */
  updateUser(user) {
    if (user.id !== this.#currentUserId) return;
    this.user = { ...this.user, ...user };
    this.emit('user', this.user);
  }

  #startLogin(answer) {
    this.#storeLogin(answer, uuid());
    this.emit('signed-in', this.user);
    return this.user;
  }

  /** @param {string} login an id that distinguishes this login from other logins of the same user */
  #storeLogin({ user, access_token, refresh_token, expires_in }, login) {
    // Store the pair before using it: after the first use of the new access token, the server treats a use of the old
    // refresh token as theft.
    this.#storage.setItem(this.#key, JSON.stringify({ user_id: user.id, login, refresh_token }));
    this.#access = { token: access_token, expiresAt: Date.now() + expires_in * 1000 };
    this.#currentUserId = user.id;
    this.user = user;
    this.#channel?.postMessage({ user, login, access: this.#access });
  }

  /** Takes an access token from another tab if it belongs to the login that this device holds. */
  #takeToken({ user, login, access }) {
    if (this.#currentUserId !== user.id || !this.#isStored({ user_id: user.id, login })) return;
    this.#access = access;
    this.user = user;
    this.emit('user', user);
  }

  /**
   * Returns the token that another tab got while this one waited for the lock; null if no tab got one.
   * @param {object|null} access the access token of this tab when it asked
   * @param {string} before the stored refresh token at that moment
   */
  async #tokenFromOtherTab(access, before) {
    if (!this.#channel || this.#readStored()?.refresh_token === before) return null;
    for (let waited = 0; this.#access === access && waited < CHANNEL_WAIT_MS; waited += 20) await this.#pause(20);
    const received = this.#access;
    return received && received !== access && received.expiresAt - Date.now() > MIN_LIFETIME_MS ? received.token : null;
  }

  /**
   * Refreshes a login. If the device does not hold the login any more when the answer comes, the user signed out
   * meanwhile, in this tab or in another. Then the answer must not be stored; its access token only ends the login.
   */
  async #refreshLogin(login) {
    if (!login) throw new GreenroomError('signed_out', 'No user is signed in on this device.');
    this.#refreshingLogin = login;
    this.#currentUserId ??= login.user_id;
    try {
      const answer = await this.#requestRefresh(login);
      if (this.#isStored(login)) {
        this.#storeLogin(answer, login.login);
        this.emit('user', this.user);
        return answer.access_token;
      }
      await this.#endOnServer(answer.access_token);
    } catch (error) {
      if (!(error instanceof GreenroomError) || !isFinal(error)) throw error;
      if (this.#isStored(login)) {
        this.#endOnDevice(error.code);
        throw new GreenroomError('signed_out', error.message, { cause: error });
      }
    }
    this.storageChanged();
    // If another tab signed the same user in again, continue with that login.
    return this.#refreshLogin(this.#refreshingLogin === login ? this.#readStored() : null);
  }

  /** Ends a login for which no access token is present. */
  async #endByRefresh(login) {
    await this.#endOnServer((await this.#requestRefresh(login)).access_token);
  }

  #withLock(task) {
    return withTabLock(`${this.#key}.refresh`, task, { locks: this.#locks, storage: this.#storage });
  }

  /** Ends a login on the server. Ignores failures. */
  async #endOnServer(token) {
    await this.#http.call('POST', '/auth/logout', { token, keepalive: true }).catch(() => {});
  }

  /**
   * Sends the refresh request, and repeats it if the answer is lost: the server returns the same pair until the pair is
   * used. Reads the storage before every attempt, because another tab may have refreshed meanwhile.
   */
  async #requestRefresh(login) {
    const backoff = new Backoff({ base: 250, cap: 2_000 });
    for (;;) {
      const { refresh_token } = this.#isStored(login) ? this.#readStored() : login;
      try {
        const options = { body: { refresh_token }, timeoutMs: REFRESH_TIMEOUT_MS };
        return await this.#http.call('POST', '/auth/refresh', options);
      } catch (error) {
        const lost = error.code === 'network' || error.code === 'timeout';
        if (!lost || backoff.attempts + 1 >= REFRESH_ATTEMPTS) throw error;
        await this.#pause(backoff.next());
      }
    }
  }

  #endOnDevice(code, { keep = false } = {}) {
    const wasSignedIn = this.signedIn || this.#currentUserId !== null;
    this.#access = null;
    this.#refreshing = null;
    this.#refreshingLogin = null;
    this.#currentUserId = null;
    this.user = null;
    if (!keep) this.#storage.removeItem(this.#key);
    if (wasSignedIn) this.emit('signed-out', code);
  }

  /** Whether the device still holds this login. Its refresh token may be another one by now. */
  #isStored({ user_id, login }) {
    const stored = this.#readStored();
    return stored !== null && stored.user_id === user_id && stored.login === login;
  }

  #readStored() {
    try {
      const value = JSON.parse(this.#storage.getItem(this.#key));
      return typeof value?.refresh_token === 'string' ? value : null;
    } catch {
      return null;
    }
  }
}

/** Whether an error of a refresh means that the login does not exist any more. */
function isFinal(error) {
  return error.status === 401 || error.status === 403 || error.status === 422;
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
