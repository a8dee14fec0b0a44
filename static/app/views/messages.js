// The log of a room.
// Lives here: showing its rows, keeping the reader's place, loading what is missing above and below, the unread line, and
// saying what was seen. May not live here: how one message looks (message.js), moving through them by keyboard
// (message-keys.js), or the composer.

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { keepFocus } from '../lib/focus.js';
import { icon } from '../lib/icons.js';
import { keyedList } from '../lib/keyed.js';
import { onLongPress } from '../lib/press.js';
import { mayWrite } from '../lib/rights.js';
import { ScrollKeeper } from '../lib/scroll.js';
import { nameList, plural } from '../lib/text.js';
import { dayName } from '../lib/time.js';
import { nameOf } from '../state/conversations.js';
import { findMessage } from '../state/messages.js';
import { roomOf } from '../state/rooms.js';
import { openEmojiPicker } from './emoji-picker.js';
import { logTop, roomNotice } from './log-hints.js';
import { createMessage, updateMessage, updateSystem } from './message.js';
import { moveThroughMessages } from './message-keys.js';
import { openMessageMenu, reactTo } from './message-menu.js';
import { roomRows } from './rows.js';
import { say } from './toast.js';
import { sentence } from './words.js';

/**
 * @param {HTMLElement} parent
 * @param {string} id of the conversation
 * @param {object} app
 * @param {{onReply: (message: object) => void, onEdit: (message: object) => void}} listeners
 * @returns {{stop: () => void, toEnd: () => void, show: (place: {id: string, seq: number}) => void}}
 */
export function mountMessages(parent, id, app, { onReply, onEdit }) {
  const { store, actions, client } = app;
  const list = h('div', { class: 'rows' });
  const top = logTop({ onRetry: () => actions.loadOlder(id) });
  const notice = roomNotice({ onRetry: () => actions.openRoom(id) });
  const box = h('div', { class: 'log', role: 'log', 'aria-label': 'Messages', tabIndex: 0 }, top.element, list);
  const jump = h(
    'button',
    { type: 'button', class: 'jump', hidden: true, on: { click: () => leap() } },
    icon('down', 20),
    h('span', { class: 'jump-count', 'aria-hidden': 'true' }),
  );
  parent.append(h('div', { class: 'log-frame' }, box, jump, notice.element));

  let divider = null;
  let placed = false;
  let wanted = null;
  let settling = null;
  const scroll = new ScrollKeeper(box, list, { onTop: older, onMove: moved });
  const context = {
    get state() {
      return store.state;
    },
    get fileToken() {
      return client.connection.fileToken;
    },
    get mayWrite() {
      const conversation = store.state.conversations.get(id);
      return Boolean(conversation && mayWrite(conversation));
    },
    onReply,
    onMenu: menu,
    onReact: (item, emoji, on) => reactTo(item, emoji, on, app),
    onPicker: (item, at) => openEmojiPicker({ at, onChoose: (emoji) => reactTo(item, emoji, true, app) }),
    reactors,
    onRetry: ({ temp_id }) => actions.retry(temp_id),
    onDiscard: ({ temp_id }) => actions.discard(temp_id),
    onQuote: show,
  };

  function update() {
    const { state } = store;
    const room = roomOf(state, id);
    const conversation = state.conversations.get(id);
    setAttribute(box, 'aria-busy', room.status === 'loading' || room.older === 'loading' ? 'true' : null);
    notice.update(room);
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
      keepFocus(list, () => keyedList(list, rows, { key: ({ key }) => key, create, update: updateRow }), box);
      top.update(room, conversation, rows.length);
    };
    if (placed) scroll.keep(change);
    else place(change);
    scroll.follow = !room.hasAfter;
    if (wanted !== null) point(wanted);
    settling ??= requestAnimationFrame(settle);
  }

  /** What follows from where things stand is found out once a frame: asking for it makes the browser lay everything out. */
  function settle() {
    settling = null;
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
    const named = row.item.mentions?.length > 0 || row.item.reply_to ? store.state.members.get(id) : null;
    const look = [row.item, row.first, row.last, row.grouped, face, context.mayWrite, named];
    if (element.look?.every((value, index) => value === look[index]) && !row.item.state) return;
    element.look = look;
    if (row.kind === 'message') updateMessage(element, row, context);
    else if (row.kind === 'system') updateSystem(element, row, context);
    else if (row.kind === 'day') fill(element, h('span', { textContent: dayName(row.item.created_at) }));
    else fill(element, h('span', { textContent: 'New messages' }));
  }

  function older() {
    const room = roomOf(store.state, id);
    if (placed && room.hasBefore && room.older === 'idle') actions.loadOlder(id);
  }

  function moved(atEnd) {
    seen();
    const room = roomOf(store.state, id);
    if (placed && atEnd && room.hasAfter && room.newer === 'idle') actions.loadNewer(id);
    const unread = store.state.conversations.get(id)?.unread_count ?? 0;
    jump.hidden = atEnd && !room.hasAfter;
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

  async function leap() {
    await toEnd({ smooth: true });
    box.focus({ preventScroll: true });
  }

  /** To the newest message, which after a jump into the past has to be loaded first. */
  async function toEnd({ smooth = false } = {}) {
    divider = null;
    const loaded = roomOf(store.state, id).hasAfter && (await attempt(actions.loadNewest(id)));
    if (loaded) update();
    scroll.toEnd({ smooth: smooth && !loaded });
  }

  /** Points at a message, which may have to be loaded first. */
  async function show({ id: messageId, seq }) {
    if (findMessage(store.state, id, messageId)) return point(messageId);
    wanted = messageId;
    if (!(await attempt(actions.loadAround(id, seq)))) wanted = null;
    else if (!findMessage(store.state, id, messageId)) {
      wanted = null;
      say('That message is not here any more.');
    }
    return undefined;
  }

  function point(messageId) {
    const item = findMessage(store.state, id, messageId);
    const element = item && list.querySelector(`[data-seq="${item.seq}"]`);
    if (!element) return;
    wanted = null;
    scroll.show(element);
    element.classList.add('pointed');
    setTimeout(() => element.classList.remove('pointed'), 1_600);
  }

  async function attempt(promise) {
    try {
      await promise;
      return true;
    } catch (error) {
      say(sentence(error), 'error');
      return false;
    }
  }

  function menu(item, at) {
    openMessageMenu(item, at, app, { onReply, onEdit });
  }

  /** Names behind a reaction; null when they cannot be had right now. */
  async function reactors(item, emoji) {
    try {
      const found = (await actions.reactions(item)).find((reaction) => reaction.emoji === emoji);
      const { people, me } = store.state;
      const names = (found?.user_ids ?? []).map((user) => (user === me?.id ? 'You' : nameOf(people.get(user))));
      return nameList(names.filter(Boolean), 8) || null;
    } catch {
      return null;
    }
  }

  const messageOf = (element) => findMessage(store.state, id, element.dataset.id);
  onLongPress(list, '.message[data-id]', (element) => {
    const item = messageOf(element);
    if (item) menu(item, element.querySelector('.bubble'));
  });
  moveThroughMessages(box, list, (element) => {
    const item = messageOf(element);
    if (item) menu(item, element.querySelector('.bubble'));
  });

  const look = () => {
    if (!looking()) return;
    update();
  };
  document.addEventListener('visibilitychange', look);
  window.addEventListener('focus', look);
  const unwatch = store.watch([`room:${id}`, `outbox:${id}`, 'conversations', 'me'], update);
  update();
  return {
    toEnd,
    show,
    stop() {
      document.removeEventListener('visibilitychange', look);
      window.removeEventListener('focus', look);
      cancelAnimationFrame(settling);
      unwatch();
      scroll.stop();
    },
  };
}

function looking() {
  return document.visibilityState === 'visible' && document.hasFocus();
}
