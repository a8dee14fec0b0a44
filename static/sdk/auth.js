// Who is signed in on this device.
// Lives here: register, login, logout, and keeping one fresh access token. The refresh token is in storage, shared by
// all tabs; the access token is in memory only, so that nothing on disk opens the account for longer than one refresh.
// One tab refreshes for all: the others hear the new access token from it (a channel of this origin, in memory too).
// May not live here: profile and other calls that merely need a token (api.js), or the socket.

import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { GreenroomError } from './errors.js';
import { uuid } from './ids.js';
import { exclusively } from './lock.js';

/** A token with less life left than this is replaced before it is used, in milliseconds. */
const MARGIN = 30_000;
/** Longest wait for the answer to one attempt at a refresh, in milliseconds: a lost answer is soon asked for again. */
const REFRESH_LIMIT = 5_000;
/** Attempts of one refresh whose answers are lost. Whoever asks next begins anew: no lost answer ends a login. */
const REFRESH_ATTEMPTS = 4;
/** How long a tab waits to hear the token that another one has just got, in milliseconds. */
const HEARING = 300;

/** Emits `signed-in` (user), `signed-out` (code) and `user` (user, changed). */
export class Auth extends Emitter {
  #http;
  #storage;
  #locks;
  #key;
  #channel;
  #pause;
  #access = null;
  #refreshing = null;
  /** The login whose refresh token is being spent right now. */
  #spending = null;
  /** Id of the user as whom this tab works; others may change what is stored. */
  #entered;

  /** The signed-in user, as the server last described them; null until the first answer. */
  user = null;

  /**
   * @param {{http: import('./http.js').Http, storage: Storage, locks?: LockManager, channel?: BroadcastChannel|null,
   *   key?: string, pause?: (ms: number) => Promise<void>}} options `channel`: shared by all tabs that share the storage
   */
  constructor({ http, storage, locks, channel = null, key = 'greenroom.login', pause = sleep }) {
    super();
    this.#http = http;
    this.#storage = storage;
    this.#locks = locks;
    this.#key = key;
    this.#channel = channel;
    this.#pause = pause;
    if (channel) channel.onmessage = ({ data }) => this.#hear(data);
    this.#entered = this.userId;
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
    if (this.#refreshing) return this.#refreshing;
    const [access, before] = [this.#access, this.#stored()?.refresh_token];
    this.#entered ??= this.userId;
    const turn = async () => (await this.#heard(access, before)) ?? this.#rotate(this.#stored());
    const refreshing = this.#inTurn(turn).finally(() => {
      if (this.#refreshing === refreshing) this.#refreshing = this.#spending = null;
    });
    this.#refreshing = refreshing;
    return refreshing;
  }

  /**
   * Ends this login. The device forgets it at once, also when the server cannot be told. Where no token is at hand to end
   * it with, the one that is on its way does, or else one that is fetched for it.
   */
  async logout() {
    const login = this.#stored();
    const access = this.#access;
    const refreshing = this.#spending && this.#refreshing;
    this.#leave('logout');
    if (access && access.expiresAt > Date.now()) await this.#end(access.token);
    else if (login) await (refreshing ?? this.#inTurn(() => this.#endUnasked(login))).catch(() => {});
  }

  /** Another tab changed what is stored: follow it. */
  storageChanged() {
    const stored = this.#stored();
    if (this.#entered !== null && stored?.user_id !== this.#entered)
      this.#leave('elsewhere', { keep: stored !== null });
  }

  /** Notes a newer description of the signed-in user; of one who signed out meanwhile nothing comes back. */
  describe(user) {
    if (user.id !== this.#entered) return;
    this.user = { ...this.user, ...user };
    this.emit('user', this.user);
  }

  #enter(answer) {
    this.#adopt(answer, uuid());
    this.emit('signed-in', this.user);
    return this.user;
  }

  /** @param {string} login a mark that tells this login from an earlier or later one of the same user */
  #adopt({ user, access_token, refresh_token, expires_in }, login) {
    // The pair is stored before it is used: once its access token was used, the server takes the old pair for stolen.
    this.#storage.setItem(this.#key, JSON.stringify({ user_id: user.id, login, refresh_token }));
    this.#access = { token: access_token, expiresAt: Date.now() + expires_in * 1000 };
    this.#entered = user.id;
    this.user = user;
    this.#channel?.postMessage({ user, login, access: this.#access });
  }

  /** Another tab has a new access token of the login that this device holds. */
  #hear({ user, login, access }) {
    if (this.#entered !== user.id || !this.#holds({ user_id: user.id, login })) return;
    this.#access = access;
    this.user = user;
    this.emit('user', user);
  }

  /**
   * The token that another tab got while this one waited for its turn to refresh; null when none did.
   * @param {object|null} access what this tab had when it asked, @param {string} before the refresh token of then
   */
  async #heard(access, before) {
    if (!this.#channel || this.#stored()?.refresh_token === before) return null;
    for (let waited = 0; this.#access === access && waited < HEARING; waited += 20) await this.#pause(20);
    const heard = this.#access;
    return heard && heard !== access && heard.expiresAt - Date.now() > MARGIN ? heard.token : null;
  }

  /**
   * Spends the refresh token of a login. One that the device does not hold any more when the answer comes was signed out
   * meanwhile, here or in another tab: nothing of it may come back, and what came is used to end it.
   */
  async #rotate(login) {
    if (!login) throw new GreenroomError('signed_out', 'nobody is signed in');
    this.#spending = login;
    this.#entered ??= login.user_id;
    try {
      const answer = await this.#spend(login);
      if (this.#holds(login)) {
        this.#adopt(answer, login.login);
        this.emit('user', this.user);
        return answer.access_token;
      }
      await this.#end(answer.access_token);
    } catch (error) {
      if (!(error instanceof GreenroomError) || !isFinal(error)) throw error;
      if (this.#holds(login)) {
        this.#leave(error.code);
        throw new GreenroomError('signed_out', error.message, { cause: error });
      }
    }
    this.storageChanged();
    // Where another tab signed the same user in again, this one goes on with that login.
    return this.#rotate(this.#spending === login ? this.#stored() : null);
  }

  /** Ends a login of which only the refresh token is at hand. */
  async #endUnasked(login) {
    await this.#end((await this.#spend(login)).access_token);
  }

  #inTurn(task) {
    return exclusively(`${this.#key}.refresh`, task, { locks: this.#locks, storage: this.#storage });
  }

  /** Ends a login at the server, as well as it can be reached. */
  async #end(token) {
    await this.#http.call('POST', '/auth/logout', { token, keepalive: true }).catch(() => {});
  }

  /**
   * An answer that was lost on the way, or does not come, is asked for again: the server gives the same successor until
   * that was used. What is stored is read before every attempt: another tab may have spent the token meanwhile.
   */
  async #spend(login) {
    const backoff = new Backoff({ base: 250, cap: 2_000 });
    for (;;) {
      const { refresh_token } = this.#holds(login) ? this.#stored() : login;
      try {
        return await this.#http.call('POST', '/auth/refresh', { body: { refresh_token }, limit: REFRESH_LIMIT });
      } catch (error) {
        const lost = error.code === 'network' || error.code === 'timeout';
        if (!lost || backoff.attempts + 1 >= REFRESH_ATTEMPTS) throw error;
        await this.#pause(backoff.next());
      }
    }
  }

  #leave(code, { keep = false } = {}) {
    const was = this.signedIn || this.#entered !== null;
    this.#access = null;
    this.#refreshing = null;
    this.#spending = null;
    this.#entered = null;
    this.user = null;
    if (!keep) this.#storage.removeItem(this.#key);
    if (was) this.emit('signed-out', code);
  }

  /** Whether the device still holds this very login; its refresh token may be another by now. */
  #holds({ user_id, login }) {
    const stored = this.#stored();
    return stored !== null && stored.user_id === user_id && stored.login === login;
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

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
