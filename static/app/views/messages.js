// The log of a room.
// Lives here: showing its rows, keeping the reader's place, loading older ones, the unread line, and saying what was
// seen. May not live here: how one message looks (message.js), or the composer.

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { keyedList } from '../lib/keyed.js';
import { ScrollKeeper } from '../lib/scroll.js';
import { plural } from '../lib/text.js';
import { dayName } from '../lib/time.js';
import { roomOf } from '../state/messages.js';
import { createMessage, updateMessage, updateSystem } from './message.js';
import { roomRows } from './rows.js';

/**
 * @param {HTMLElement} parent
 * @param {string} id of the conversation
 * @param {object} app
 * @param {{onReply: (message: object) => void}} listeners
 * @returns {{stop: () => void, toEnd: () => void}}
 */
export function mountMessages(parent, id, { store, actions, client }, { onReply }) {
  const list = h('div', { class: 'rows' });
  const top = h('div', { class: 'log-top' });
  const box = h('div', { class: 'log', role: 'log', 'aria-label': 'Messages', tabIndex: 0 }, top, list);
  const jump = h(
    'button',
    { type: 'button', class: 'jump', hidden: true, on: { click: () => leap() } },
    icon('down', 20),
    h('span', { class: 'jump-count', 'aria-hidden': 'true' }),
  );
  const notice = h('div', { class: 'room-notice', hidden: true });
  parent.append(h('div', { class: 'log-frame' }, box, jump, notice));

  let divider = null;
  let placed = false;
  const scroll = new ScrollKeeper(box, list, { onTop: older, onMove: moved });
  const context = {
    get state() {
      return store.state;
    },
    get fileToken() {
      return client.connection.fileToken;
    },
    onReply,
    onRetry: ({ temp_id }) => actions.retry(temp_id),
    onDiscard: ({ temp_id }) => actions.discard(temp_id),
    onQuote: showQuoted,
  };

  function update() {
    const { state } = store;
    const room = roomOf(state, id);
    const conversation = state.conversations.get(id);
    setAttribute(box, 'aria-busy', room.status === 'loading' || room.older === 'loading' ? 'true' : null);
    showNotice(room);
    if (room.status !== 'ready' || !conversation) return;
    if ((!placed || !looking()) && conversation.unread_count > 0) divider = conversation.my.last_read_seq;
    const pending = state.outbox.get(id) ?? [];
    const rows = roomRows({
      items: room.items,
      pending,
      divider,
      meId: state.me?.id,
      grouped: conversation.type !== 'direct',
    });
    const change = () => {
      keyedList(list, rows, { key: ({ key }) => key, create, update: updateRow });
      showTop(room, conversation, rows);
    };
    if (placed) scroll.keep(change);
    else place(change);
    moved(scroll.atEnd);
    if (scroll.nearTop) older();
  }

  /** Where a room opens: at the unread line if there is one, else at the end. */
  function place(change) {
    change();
    placed = true;
    scroll.toEnd();
    const line = list.querySelector('.unread-line');
    if (line) scroll.show(line);
  }

  function create({ kind }) {
    if (kind === 'message') return createMessage();
    return h('div', { class: { day: 'day-line', unread: 'unread-line', system: 'system' }[kind] });
  }

  function updateRow(element, row) {
    const face = row.grouped ? store.state.people.get(row.item.sender_id) : null;
    const look = [row.item, row.first, row.last, row.grouped, face];
    if (element.look?.every((value, index) => value === look[index]) && !row.item.state) return;
    element.look = look;
    if (row.kind === 'message') updateMessage(element, row, context);
    else if (row.kind === 'system') updateSystem(element, row, context);
    else if (row.kind === 'day') fill(element, h('span', { textContent: dayName(row.item.created_at) }));
    else fill(element, h('span', { textContent: 'New messages' }));
  }

  function showTop(room, conversation, rows) {
    if (room.older === 'loading') fill(top, h('p', { class: 'log-hint', textContent: 'Loading earlier messages…' }));
    else if (room.older === 'error')
      fill(
        top,
        h('button', {
          type: 'button',
          class: 'button soft',
          textContent: 'Load earlier messages',
          on: { click: () => actions.loadOlder(id) },
        }),
      );
    else if (!room.hasBefore && rows.length === 0)
      fill(top, h('p', { class: 'log-hint', textContent: 'No messages yet. Yours can be the first.' }));
    else if (!room.hasBefore && conversation.type === 'direct')
      fill(top, h('p', { class: 'log-hint', textContent: 'This is where your conversation begins.' }));
    else fill(top);
  }

  function showNotice({ status }) {
    const words = {
      loading: 'Loading messages…',
      missing: 'This conversation is not here. Perhaps you are no longer in it.',
      error: 'The messages could not be loaded.',
    }[status];
    notice.hidden = !words;
    if (!words || notice.dataset.status === status) return;
    notice.dataset.status = status;
    fill(
      notice,
      h('p', { role: 'status', textContent: words }),
      status === 'error' &&
        h('button', {
          type: 'button',
          class: 'button soft',
          textContent: 'Try again',
          on: { click: () => actions.openRoom(id) },
        }),
    );
  }

  function older() {
    const room = roomOf(store.state, id);
    if (placed && room.hasBefore && room.older === 'idle') actions.loadOlder(id);
  }

  function moved(atEnd) {
    seen();
    const unread = store.state.conversations.get(id)?.unread_count ?? 0;
    jump.hidden = atEnd;
    setAttribute(
      jump,
      'aria-label',
      unread > 0 ? `Jump to newest, ${plural(unread, 'unread message')}` : 'Jump to newest',
    );
    setText(jump.lastChild, unread > 0 ? String(Math.min(unread, 99)) : '');
  }

  /** Read is what was on the screen of somebody who was looking. */
  function seen() {
    if (!placed || !looking()) return;
    const edge = box.getBoundingClientRect().bottom + 24;
    for (let element = list.lastElementChild; element; element = element.previousElementSibling) {
      if (!element.dataset.seq || element.getBoundingClientRect().bottom > edge) continue;
      actions.sawUpTo(id, Number(element.dataset.seq));
      return;
    }
  }

  function leap() {
    divider = null;
    scroll.toEnd({ smooth: true });
    box.focus({ preventScroll: true });
  }

  function showQuoted(messageId) {
    const item = roomOf(store.state, id).items.find((one) => one.id === messageId);
    const element = item && list.querySelector(`[data-seq="${item.seq}"]`);
    if (!element) return;
    scroll.show(element);
    element.classList.add('pointed');
    setTimeout(() => element.classList.remove('pointed'), 1_600);
  }

  const look = () => {
    if (!looking()) return;
    update();
  };
  document.addEventListener('visibilitychange', look);
  window.addEventListener('focus', look);
  const unwatch = store.watch([`room:${id}`, `outbox:${id}`, 'conversations', 'me'], update);
  update();
  return {
    toEnd() {
      divider = null;
      scroll.toEnd();
    },
    stop() {
      document.removeEventListener('visibilitychange', look);
      window.removeEventListener('focus', look);
      unwatch();
      scroll.stop();
    },
  };
}

function looking() {
  return document.visibilityState === 'visible' && document.hasFocus();
}
