// The light or dark appearance.
// This file contains the choice of the user, which is stored on the device, and sets it on the page before the first
// paint. It must not contain colours (css/tokens.css).

const STORAGE_KEY = 'greenroom.theme';

/** Returns the choice of the user. @returns {'system'|'light'|'dark'} */
export function theme() {
  try {
    const stored = localStorage.getItem(STORAGE_KEY);
    return stored === 'light' || stored === 'dark' ? stored : 'system';
  } catch {
    return 'system';
  }
}

/** Stores the choice of the user and applies it. @param {'system'|'light'|'dark'} choice */
export function setTheme(choice) {
  try {
    if (choice === 'system') localStorage.removeItem(STORAGE_KEY);
    else localStorage.setItem(STORAGE_KEY, choice);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  apply(choice);
}

function apply(choice) {
  if (choice === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}

if (globalThis.document) apply(theme());
