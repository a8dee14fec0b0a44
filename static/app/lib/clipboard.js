// Copying.
// Lives here: putting text on the clipboard, also on a page on plain http, which has no clipboard of its own.
// May not live here: buttons.

/** @returns {Promise<boolean>} whether it worked */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text) {
  const box = document.createElement('textarea');
  box.className = 'sr-only';
  box.value = text;
  document.body.append(box);
  const before = document.activeElement;
  box.select();
  const done = document.execCommand('copy');
  box.remove();
  before?.focus({ preventScroll: true });
  return done;
}
