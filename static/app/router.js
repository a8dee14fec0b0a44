// Which view the address asks for.
// Lives here: reading and writing the part of the address after `#`. May not live here: the views.

/** @typedef {{name: 'home'|'sign-in'|'sign-up'} | {name: 'conversation', id: string}} Route */

export class Router {
  #listeners = new Set();
  #shown;

  constructor(browser = window) {
    this.browser = browser;
    this.#shown = browser.location.hash;
    browser.addEventListener('hashchange', () => this.#changed());
    browser.document.addEventListener('click', (event) => this.#follow(event));
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
    if (replace) this.browser.location.replace(hash);
    else this.browser.location.hash = hash;
    this.#changed();
  }

  /**
   * Our own links take effect at once. The browser's `hashchange` comes a moment later, and in that moment somebody quick
   * would type into the view that is about to go.
   */
  #follow(event) {
    const link = event.target.closest?.('a[href^="#/"]');
    if (
      !link ||
      event.defaultPrevented ||
      event.button !== 0 ||
      event.ctrlKey ||
      event.metaKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    event.preventDefault();
    this.go(link.getAttribute('href'));
  }

  #changed() {
    const { hash } = this.browser.location;
    if (hash === this.#shown) return;
    this.#shown = hash;
    for (const listener of [...this.#listeners]) listener(this.route);
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
