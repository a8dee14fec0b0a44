// Moving through messages by keyboard.
// The Tab key reaches one message at a time, and its buttons and links. Arrow keys choose the message, and the menu key
// opens its menu.

/**
 * Handles the keys in the message list.
 * @param {HTMLElement} box the message list
 * @param {HTMLElement} list its rows
 * @param {(element: Element) => void} onMenu
 */
export function handleMessageKeys(box, list, onMenu) {
  const messages = () => [...list.querySelectorAll('.message')];

  const activate = (element) => {
    for (const other of list.querySelectorAll('.message[data-current]')) if (other !== element) deactivate(other);
    element.dataset.current = '';
    for (const button of element.querySelectorAll('button')) button.tabIndex = 0;
  };
  const deactivate = (element) => {
    delete element.dataset.current;
    for (const button of element.querySelectorAll('button')) button.tabIndex = -1;
  };

  list.addEventListener('focusin', (event) => {
    const element = event.target.closest('.message');
    if (element) activate(element);
  });

  box.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = messages();
    if (event.target === box) {
      // From the message list itself, go to the newest visible message.
      if (!['Enter', 'ArrowUp'].includes(event.key)) return;
      const edge = box.getBoundingClientRect().bottom;
      const last = all.filter((element) => element.getBoundingClientRect().top < edge - 8).at(-1);
      if (!last) return;
      event.preventDefault();
      last.focus();
      return;
    }
    const current = event.target.closest('.message');
    const index = all.indexOf(current);
    if (index === -1) return;
    const menuKey = event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey);
    if (menuKey || (event.key === 'Enter' && event.target === current)) {
      event.preventDefault();
      onMenu(current);
      return;
    }
    if (event.key === 'Escape') {
      event.preventDefault();
      deactivate(current);
      box.focus({ preventScroll: true });
      return;
    }
    const target = { ArrowUp: all[index - 1], ArrowDown: all[index + 1], Home: all[0], End: all.at(-1) }[event.key];
    if (!target) return;
    event.preventDefault();
    target.focus();
  });
}
