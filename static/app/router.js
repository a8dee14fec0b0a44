// The view that the address names.
// This file reads and writes the part of the address after `#`.

/** @typedef {{name: 'home'|'sign-in'|'sign-up'} | {name: 'conversation', id: string}} Route */

/** The current route, and the browser's history of routes. */
export class Router {
  #listeners = new Set();
  #shown;
  #goingBack = false;

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

  /** Calls `listener` after each change of the route. @returns {() => void} a function that ends this */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Shows another view. Each entry of the history contains the address before it, which `back` reads.
   * @param {string} hash an address from `to`
   * @param {{replace?: boolean}} [options] `replace`: instead of the present entry of the history
   */
  go(hash, { replace = false } = {}) {
    const { history, location } = this.browser;
    if (location.hash === hash) return;
    if (replace) history.replaceState(history.state, '', hash);
    else history.pushState({ previous: location.hash || to.home() }, '', hash);
    this.#changed();
  }

  /** Goes to an address: back in the history if the entry before has it, else instead of the present entry. */
  back(hash) {
    const { history, location } = this.browser;
    if (this.#goingBack || location.hash === hash) return;
    this.#goingBack = history.state?.previous === hash;
    if (this.#goingBack) history.back();
    else this.go(hash, { replace: true });
  }

  /**
   * Handles a click on a link of the app immediately. The browser's `hashchange` comes a moment later, and in that
   * moment the user could type into the view that is about to close.
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
    const hash = link.getAttribute('href');
    if (link.dataset.back === undefined) this.go(hash);
    else this.back(hash);
  }

  #changed() {
    const { hash } = this.browser.location;
    this.#goingBack = false;
    if (hash === this.#shown) return;
    this.#shown = hash;
    for (const listener of [...this.#listeners]) listener(this.route);
  }
}

/** The addresses of the views. */
export const to = {
  home: () => '#/',
  signIn: () => '#/sign-in',
  signUp: () => '#/sign-up',
  conversation: (id) => `#/c/${id}`,
};

/** Returns the route of an address. @returns {Route} */
export function parse(hash) {
  const [first, second] = hash.replace(/^#\/?/, '').split('/');
  const id = decode(second ?? '');
  if (first === 'c' && id) return { name: 'conversation', id };
  if (first === 'sign-in' || first === 'sign-up') return { name: first };
  return { name: 'home' };
}

/** Decodes a part of an address; null if it is not encoded correctly. */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
