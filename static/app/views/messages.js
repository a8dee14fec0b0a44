// The message list of a room.
// This file connects the rows of a conversation with the scroll position, loads missing messages above and below, and
// shows the line above the first unread message. It must not contain how a message looks (message.js), what is seen
// (reading.js), what the user does with a message (message-events.js), or the text box.

import { h, setAttribute } from '../lib/dom.js';
import { keepFocus } from '../lib/focus.js';
import { oncePerFrame } from '../lib/frame.js';
import { keyedList } from '../lib/keyed.js';
import { mayWrite } from '../lib/rights.js';
import { ScrollKeeper } from '../lib/scroll.js';
import { nameList } from '../lib/text.js';
import { nameOf } from '../state/conversations.js';
import { hasAfter, needsMore } from '../state/message-window.js';
import { findMessage } from '../state/messages.js';
import { getRoom, keptPlace, setPlace, setView } from '../state/rooms.js';
import { openEmojiPicker } from './emoji-picker.js';
import { handleMessageEvents } from './message-events.js';
import { handleMessageKeys } from './message-keys.js';
import { jumpButton, messageListBottom, messageListTop, roomNotice } from './message-list-hints.js';
import { openMessageMenu, reactTo } from './message-menu.js';
import { rowElements } from './message-rows.js';
import { isPageActive, observeReading } from './reading.js';
import { roomRows } from './rows.js';
import { showToast } from './toast.js';
import { errorText } from './texts.js';

/** How long the message that the user looked for is marked, in milliseconds. */
const POINTED_MS = 1_600;

/**
 * Shows the message list of a conversation.
 * @param {HTMLElement} parent
 * @param {string} id the id of the conversation
 * @param {object} app
 * @param {{onReply: (message: object) => void, onEdit: (message: object) => void}} listeners
 * @returns {{stop: () => void, toEnd: () => void, readAll: () => boolean,
 *   show: (target: {id: string, seq: number}) => void}}
 */
export function mountMessages(parent, id, app, { onReply, onEdit }) {
  const { store, actions, client } = app;
  const list = h('div', { class: 'rows' });
  const top = messageListTop({ onRetry: () => actions.loadOlder(id) });
  const bottom = messageListBottom({ onRetry: () => actions.loadNewer(id) });
  const notice = roomNotice({ onRetry: () => actions.openRoom(id) });
  const box = h(
    'div',
    { class: 'log', role: 'log', 'aria-label': 'Messages', tabIndex: 0 },
    top.element,
    list,
    bottom.element,
  );
  const jump = jumpButton({ onJump: jumpToEnd });
  parent.append(h('div', { class: 'log-frame' }, box, jump.element, notice.element));

  /** the read mark after which the line is shown; it stays until the conversation is left */
  let divider = null;
  let isPositioned = false;
  let targetId = null;
  /** whether the user has been looking at the page, and the connection was up to date, since the rows were drawn */
  let isAttended = false;
  let lastUnread = 0;
  let view = null;

  const frame = oncePerFrame(draw);
  const scroll = new ScrollKeeper(box, list, { onMove: moved });
  const reading = observeReading(box, {
    onView(next) {
      view = next;
      setView(store, id, view, scroll.follows);
    },
    onRead(seen) {
      const conversation = store.state.conversations.get(id);
      if (!isPositioned || !conversation) return;
      const isOwn = ({ sender_id }) => sender_id === store.state.me?.id;
      actions.markRead(id, seen.markAfter(getRoom(store.state, id), conversation.my.last_read_seq, isOwn));
    },
  });
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
    itemOf: (element) => rows.itemOf(element),
    onReply,
    onMenu: (item, at) => openMessageMenu(item, at, app, { onReply, onEdit }),
    onReact: (item, emoji, on) => reactTo(item, emoji, on, app),
    onPicker: (item, at) => openEmojiPicker({ at, onChoose: (emoji) => reactTo(item, emoji, true, app) }),
    reactorNames,
    onRetry: ({ temp_id }) => actions.retry(temp_id),
    onDiscard: ({ temp_id }) => actions.discard(temp_id),
    onQuote: show,
    onDrawn: (element) => events.attachTools(element),
  };
  const rows = rowElements(id, context, { onCreate: reading.observe });
  const events = handleMessageEvents(list, context);
  handleMessageKeys(box, list, events.openMenu);

  function draw() {
    const { state } = store;
    const room = getRoom(state, id);
    const conversation = state.conversations.get(id);
    setAttribute(box, 'aria-busy', [room.status, room.olderStatus, room.newerStatus].includes('loading') || null);
    notice.update(room);
    if (room.status !== 'ready' || !conversation) return;
    moveDivider(room, conversation);
    const shown = roomRows({
      items: room.items,
      pending: hasAfter(room) ? [] : (state.outbox.get(id) ?? []),
      divider,
      meId: state.me?.id,
      grouped: conversation.type !== 'direct',
    });
    const apply = () => {
      keepFocus(list, () => keyedList(list, shown, rows), box);
      top.update(room, conversation, shown.length);
      bottom.update(room);
    };
    scroll.mayFollow = !hasAfter(room);
    if (isPositioned) scroll.change(apply, isAttended ? null : unreadLine());
    else showFirst(apply, room, conversation);
    notePassed(room);
    lastUnread = conversation.unread_count;
    isAttended = isPageActive() && state.connection.upToDate;
    if (targetId !== null) highlight(targetId);
    moved();
  }

  const unreadLine = () => list.querySelector('.unread-line');

  /**
   * Shows the line above what is new: at first above the first unread message. Later, if all was read, above what comes
   * while the user does not look, or reads above.
   */
  function moveDivider(room, { unread_count, my }) {
    const isNew = isPositioned ? lastUnread === 0 && !(isAttended && scroll.follows) : true;
    if (isNew && unread_count > 0) divider = my.last_read_seq;
  }

  /** Shows the rows for the first time: where the user stopped reading, at the first unread message, or at the end. */
  function showFirst(apply, room, conversation) {
    apply();
    isPositioned = true;
    const place = keptPlace(room, conversation);
    const row = place && list.querySelector(`[data-seq="${place.seq}"]`);
    if (row) scroll.place(row, place.offset);
    else scroll.toEndOr(unreadLine());
  }

  /** New messages pass the screen while the user watches the end of the list: then they are seen, however fast. */
  let lastShown = Infinity;
  function notePassed({ items, newest }) {
    if (isAttended && scroll.follows)
      reading.add(items.filter(({ seq }) => seq > lastShown).map(({ seq }) => seq));
    lastShown = newest;
    reading.update();
  }

  /** Loads what comes near, after each movement and each change of the list. */
  function moved() {
    const room = getRoom(store.state, id);
    if (!isPositioned || room.status !== 'ready') return;
    const { before, after } = scroll.screens;
    if (room.olderStatus === 'idle' && needsMore(room, view, 'before', before)) actions.loadOlder(id);
    if (room.newerStatus === 'idle' && needsMore(room, view, 'after', after)) actions.loadNewer(id);
    setView(store, id, view, scroll.follows);
    jump.update(scroll.atEnd && !hasAfter(room), store.state.conversations.get(id)?.unread_count ?? 0);
    reading.update();
  }

  async function jumpToEnd() {
    await toEnd();
    box.focus({ preventScroll: true });
  }

  /** Goes to the newest message, and reads all. Far from it, it is loaded first. */
  async function toEnd() {
    actions.markAllRead(id);
    if (hasAfter(getRoom(store.state, id)) && !(await attempt(actions.loadNewest(id)))) return;
    frame.run();
    scroll.toEnd();
    moved();
  }

  /** Reads all, if anything is unread. @returns {boolean} whether anything was unread */
  function readAll() {
    if (!(store.state.conversations.get(id)?.unread_count > 0)) return false;
    toEnd();
    return true;
  }

  /** Scrolls to a message, and loads it first if necessary. */
  async function show({ id: messageId, seq }) {
    if (highlight(messageId)) return;
    targetId = messageId;
    const isLoaded = await attempt(actions.loadAround(id, seq));
    if (isLoaded && findMessage(store.state, id, messageId)) return;
    targetId = null;
    if (isLoaded) showToast('That message is not here any more.');
  }

  /** Scrolls to a message and marks it. @returns {boolean} whether it is in the list */
  function highlight(messageId) {
    const element = list.querySelector(`[data-id="${CSS.escape(messageId)}"]`);
    if (!element) return false;
    targetId = null;
    scroll.place(element);
    element.classList.add('pointed');
    setTimeout(() => element.classList.remove('pointed'), POINTED_MS);
    return true;
  }

  async function attempt(promise) {
    try {
      await promise;
      return true;
    } catch (error) {
      showToast(errorText(error), 'error');
      return false;
    }
  }

  /** Returns the names of the users who reacted with an emoji; null if they cannot be loaded. */
  async function reactorNames(item, emoji) {
    try {
      const found = (await actions.reactions(item)).find((reaction) => reaction.emoji === emoji);
      const { people, me } = store.state;
      const names = (found?.user_ids ?? []).map((user) => (user === me?.id ? 'You' : nameOf(people.get(user))));
      return nameList(names.filter(Boolean), 8) || null;
    } catch {
      return null;
    }
  }

  const attend = () => {
    if (!isPageActive()) isAttended = false;
    frame.request();
  };
  const attention = ['visibilitychange', 'focus', 'blur'];
  for (const type of attention) window.addEventListener(type, attend);
  const stops = [
    store.watch([`room:${id}`, `outbox:${id}`, 'conversations', 'me'], frame.request),
    store.watch(['connection'], () => {
      if (!store.state.connection.upToDate) isAttended = false;
      frame.request();
    }),
  ];
  frame.request();
  return {
    toEnd,
    readAll,
    show,
    stop() {
      for (const type of attention) window.removeEventListener(type, attend);
      for (const stop of stops) stop();
      frame.cancel();
      const { row, offset } = (!scroll.follows && scroll.position) || {};
      if (isPositioned) setPlace(store, id, row ? { seq: Number(row.dataset.seq), offset } : null);
      scroll.stop();
      reading.stop();
    },
  };
}
