// Selecting the text of a message with a finger.
// A long press opens the menu of a message, so it cannot begin a selection. The menu begins it instead, and the user
// moves its ends.

/** Selects the text of the message that contains `element`, until the user ends the selection. */
export function selectText(element) {
  const row = element.closest('.message');
  const text = row?.querySelector('.message-text');
  if (!text) return;
  row.classList.add('selecting');
  getSelection().selectAllChildren(text);
  const onChange = () => {
    const selection = getSelection();
    if (!selection.isCollapsed && selection.containsNode(text, true)) return;
    row.classList.remove('selecting');
    document.removeEventListener('selectionchange', onChange);
  };
  document.addEventListener('selectionchange', onChange);
}
