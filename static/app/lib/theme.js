// Light or dark.
// Lives here: the choice, kept on the device, and setting it on the page. Loaded before the first paint.
// May not live here: colours (css/tokens.css).

const KEY = 'greenroom.theme';

/** @returns {'system'|'light'|'dark'} */
export function theme() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
  } catch {
    return 'system';
  }
}

/** @param {'system'|'light'|'dark'} choice */
export function setTheme(choice) {
  try {
    if (choice === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
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
