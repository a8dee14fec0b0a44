// Starting the app, and starting it again after a failure.
// This file waits until the server answers if it became unreachable while the page was loaded, and then loads the page
// again. It must not contain static imports, whose failure would stop it.

/** The first and the longest pause between attempts to reach the server, in milliseconds. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;
const STORAGE_KEY = 'greenroom.boot';

try {
  await Promise.all([import('./main.js'), stylesLoaded()]);
  writeAttempts(0);
} catch (error) {
  console.warn('Greenroom was not loaded completely.', error);
  document.querySelector('.splash')?.replaceChildren('Greenroom could not be loaded. Trying again…');
  await reloadWhenReachable();
}

/** Resolves when every style sheet is loaded. Rejects if one is missing after the page was loaded. */
async function stylesLoaded() {
  if (document.readyState !== 'complete')
    await new Promise((done) => window.addEventListener('load', done, { once: true }));
  const missing = [...document.querySelectorAll('link[rel="stylesheet"]')].find(({ sheet }) => !hasRules(sheet));
  if (missing) throw new Error(`no style sheet ${missing.href}`);
}

/** Whether a sheet was loaded. If not, it is null, empty or throws on access, depending on the browser. */
function hasRules(sheet) {
  try {
    return sheet.cssRules.length > 0;
  } catch {
    return false;
  }
}

/** Waits until the server answers, then reloads. Pauses grow with each reload, to limit the load of the server. */
async function reloadWhenReachable() {
  const attempts = readAttempts() + 1;
  writeAttempts(attempts);
  do {
    await new Promise((done) => setTimeout(done, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempts - 1))));
  } while (!(await serverAnswers()));
  location.reload();
}

/** Whether the server answers. */
async function serverAnswers() {
  try {
    return (await fetch('/', { method: 'HEAD', cache: 'no-store' })).ok;
  } catch {
    return false;
  }
}

/** Returns the number of failed attempts to load the page in this tab. */
function readAttempts() {
  try {
    return Number(sessionStorage.getItem(STORAGE_KEY)) || 0;
  } catch {
    return 0;
  }
}

function writeAttempts(attempts) {
  try {
    if (attempts === 0) sessionStorage.removeItem(STORAGE_KEY);
    else sessionStorage.setItem(STORAGE_KEY, String(attempts));
  } catch {
    // Without storage every pause is the first one.
  }
}
