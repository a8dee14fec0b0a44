// Which view the address asks for.
// Lives here: reading and writing the part of the address after `#`. May not live here: the views.

/** @typedef {{name: 'home'|'sign-in'|'sign-up'} | {name: 'conversation', id: string}} Route */

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

  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Shows another view. An entry of the history carries what lies behind it, so that `back` knows.
   * @param {string} hash as the functions of `to` make it
   */
  go(hash, { replace = false } = {}) {
    const { history, location } = this.browser;
    if (location.hash === hash) return;
    if (replace) history.replaceState(history.state, '', hash);
    else history.pushState({ behind: location.hash || to.home() }, '', hash);
    this.#changed();
  }

  /** Goes back to a view in the history if it is what lies behind, and else to it in place of the present one. */
  back(hash) {
    const { history, location } = this.browser;
    if (this.#goingBack || location.hash === hash) return;
    this.#goingBack = history.state?.behind === hash;
    if (this.#goingBack) history.back();
    else this.go(hash, { replace: true });
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
  const id = decoded(second ?? '');
  if (first === 'c' && id) return { name: 'conversation', id };
  if (first === 'sign-in' || first === 'sign-up') return { name: first };
  return { name: 'home' };
}

/** Null for what nobody could have encoded. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
