// Which view the address asks for.
// Lives here: reading and writing the part of the address after `#`. May not live here: the views.

/** @typedef {{name: 'home'|'sign-in'|'sign-up'} | {name: 'conversation', id: string}} Route */

export class Router {
  #listeners = new Set();

  constructor(browser = window) {
    this.browser = browser;
    browser.addEventListener('hashchange', () => {
      for (const listener of this.#listeners) listener(this.route);
    });
  }

  /** @returns {Route} */
  get route() {
    return parse(this.browser.location.hash);
  }

  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @param {string} hash as the functions of `to` make it */
  go(hash, { replace = false } = {}) {
    if (this.browser.location.hash === hash || (hash === '#/' && this.browser.location.hash === '')) return;
    if (replace) this.browser.location.replace(hash);
    else this.browser.location.hash = hash;
  }
}

/** Addresses of the views. */
export const to = {
  home: () => '#/',
  signIn: () => '#/sign-in',
  signUp: () => '#/sign-up',
  conversation: (id) => `#/c/${id}`,
};

/** @returns {Route} */
export function parse(hash) {
  const [first, second] = hash.replace(/^#\/?/, '').split('/');
  if (first === 'c' && second) return { name: 'conversation', id: decodeURIComponent(second) };
  if (first === 'sign-in' || first === 'sign-up') return { name: first };
  return { name: 'home' };
}
