// Starting the app, again if need be.
// Lives here: what happens when the server goes away in the middle of loading the page: wait until it answers, then load
// anew. May not live here: imports that could fail and take this down with them.

/** The first pause before looking for the server again, and the longest, in milliseconds. */
const FIRST = 1_000;
const LONGEST = 15_000;
const KEY = 'greenroom.boot';

try {
  await Promise.all([import('./main.js'), styles()]);
  remember(0);
} catch (error) {
  console.warn('Greenroom was not loaded completely.', error);
  document.querySelector('.splash')?.replaceChildren('Greenroom could not be loaded. Trying again…');
  await comeBack();
}

/** Resolves when every style sheet is here, rejects when one is missing after everything has been tried. */
async function styles() {
  if (document.readyState !== 'complete')
    await new Promise((done) => window.addEventListener('load', done, { once: true }));
  const missing = [...document.querySelectorAll('link[rel="stylesheet"]')].find(({ sheet }) => !hasRules(sheet));
  if (missing) throw new Error(`no style sheet ${missing.href}`);
}

/** A sheet that could not be loaded is null, empty, or refuses to show its rules, depending on the browser. */
function hasRules(sheet) {
  try {
    return sheet.cssRules.length > 0;
  } catch {
    return false;
  }
}

/** Pauses grow over reloads, so that a page that can never be loaded does not keep a server busy. */
async function comeBack() {
  const tries = tried() + 1;
  remember(tries);
  do {
    await new Promise((done) => setTimeout(done, Math.min(LONGEST, FIRST * 2 ** (tries - 1))));
  } while (!(await answers()));
  location.reload();
}

async function answers() {
  try {
    return (await fetch('/', { method: 'HEAD', cache: 'no-store' })).ok;
  } catch {
    return false;
  }
}

function tried() {
  try {
    return Number(sessionStorage.getItem(KEY)) || 0;
  } catch {
    return 0;
  }
}

function remember(tries) {
  try {
    if (tries === 0) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, String(tries));
  } catch {
    // Without storage every pause is the first one.
  }
}
