// The clipboard.
// This file copies text, also on a page on plain HTTP, which has no clipboard API.

/** Copies a text. @returns {Promise<boolean>} whether the text was copied */
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
  const isCopied = document.execCommand('copy');
  box.remove();
  before?.focus({ preventScroll: true });
  return isCopied;
}
