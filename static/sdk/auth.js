// Who is signed in on this device.
// Lives here: register, login, logout, and keeping one fresh access token. The refresh token is in storage, shared by
// all tabs; the access token is in memory only, so that nothing on disk opens the account for longer than one refresh.
// May not live here: profile and other calls that merely need a token (api.js), or the socket.

import { Emitter } from './emitter.js';
import { GreenroomError } from './errors.js';
import { exclusively } from './lock.js';

/** A token with less life left than this is replaced before it is used, in milliseconds. */
const MARGIN = 30_000;

/** Emits `signed-in` (user), `signed-out` (code) and `user` (user, changed). */
export class Auth extends Emitter {
  #http;
  #storage;
  #locks;
  #key;
  #access = null;
  #refreshing = null;

  /** The signed-in user, as the server last described them; null until the first answer. */
  user = null;

  /** @param {{http: import('./http.js').Http, storage: Storage, locks?: LockManager, key?: string}} options */
  constructor({ http, storage, locks, key = 'greenroom.login' }) {
    super();
    this.#http = http;
    this.#storage = storage;
    this.#locks = locks;
    this.#key = key;
  }

  /** Whether this device holds a login; it may turn out to be revoked. */
  get signedIn() {
    return this.#stored() !== null;
  }

  /** Id of the user whose login this device holds, known without asking the server. */
  get userId() {
    return this.#stored()?.user_id ?? null;
  }

  /** @param {{username: string, password: string, display_name?: string, email?: string}} fields */
  async register(fields) {
    return this.#enter(await this.#http.call('POST', '/auth/register', { body: fields }));
  }

  /** @param {{login: string, password: string}} fields `login` is the username or the email address */
  async login(fields) {
    return this.#enter(await this.#http.call('POST', '/auth/login', { body: fields }));
  }

  /**
   * An access token good for at least half a minute.
   * @param {{fresh?: boolean}} [options] `fresh`: the present one was refused, get another
   * @throws {GreenroomError} `signed_out` when the login is gone, `network` and the like when nobody could be asked
   */
  async token({ fresh = false } = {}) {
    if (!this.signedIn) {
      this.storageChanged();
      throw new GreenroomError('signed_out', 'nobody is signed in');
    }
    if (!fresh && this.#access && this.#access.expiresAt - Date.now() > MARGIN) return this.#access.token;
    return this.refresh();
  }

  /** Spends the refresh token for new ones. Callers of one tab share one request, tabs take turns. */
  refresh() {
    this.#refreshing ??= exclusively(`${this.#key}.refresh`, () => this.#rotate(), {
      locks: this.#locks,
      storage: this.#storage,
    }).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** Ends this login. The device forgets it also when the server cannot be told. */
  async logout() {
    const token = this.#access?.token;
    this.#leave('logout');
    if (!token) return;
    await this.#http.call('POST', '/auth/logout', { token, keepalive: true }).catch(() => {});
  }

  /** Another tab changed what is stored: follow it. */
  storageChanged() {
    const stored = this.#stored();
    if (stored === null && this.user) this.#leave('elsewhere');
    else if (stored && this.user && stored.user_id !== this.user.id) this.#leave('elsewhere', { keep: true });
  }

  /** Notes a newer description of the signed-in user. */
  describe(user) {
    this.user = { ...this.user, ...user };
    this.emit('user', this.user);
  }

  #enter(answer) {
    this.#adopt(answer);
    this.emit('signed-in', this.user);
    return this.user;
  }

  #adopt(answer) {
    this.#access = { token: answer.access_token, expiresAt: Date.now() + answer.expires_in * 1000 };
    this.#storage.setItem(this.#key, JSON.stringify({ user_id: answer.user.id, refresh_token: answer.refresh_token }));
    this.user = answer.user;
  }

  async #rotate() {
    const before = this.#stored();
    if (!before) throw new GreenroomError('signed_out', 'nobody is signed in');
    try {
      const answer = await this.#spend(before.refresh_token);
      this.#adopt(answer);
      this.emit('user', this.user);
      return answer.access_token;
    } catch (error) {
      if (!(error instanceof GreenroomError) || !isFinal(error)) throw error;
      this.#leave(error.code);
      throw new GreenroomError('signed_out', error.message, { cause: error });
    }
  }

  /** An answer that was lost on the way is asked for again at once, while the server still gives the same successor. */
  async #spend(refreshToken) {
    const call = () => this.#http.call('POST', '/auth/refresh', { body: { refresh_token: refreshToken } });
    try {
      return await call();
    } catch (error) {
      if (error.code !== 'network') throw error;
      return call();
    }
  }

  #leave(code, { keep = false } = {}) {
    const was = this.signedIn || this.user !== null;
    this.#access = null;
    this.user = null;
    if (!keep) this.#storage.removeItem(this.#key);
    if (was) this.emit('signed-out', code);
  }

  #stored() {
    try {
      const value = JSON.parse(this.#storage.getItem(this.#key));
      return typeof value?.refresh_token === 'string' ? value : null;
    } catch {
      return null;
    }
  }
}

/** Whether the server's answer to a refresh means that the login no longer exists. */
function isFinal(error) {
  return error.status === 401 || error.status === 403 || error.status === 422;
}
