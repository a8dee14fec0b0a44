// The message list of a room.
// This file shows the rows, keeps the scroll position, loads missing messages above and below, and shows the unread
// line. It must not contain how a message looks (message.js), moving through messages by keyboard (message-keys.js),
// which messages were seen (seen.js), or the text box.

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { keepFocus } from '../lib/focus.js';
import { icon } from '../lib/icons.js';
import { keyedList } from '../lib/keyed.js';
import { onLongPress } from '../lib/long-press.js';
import { mayWrite } from '../lib/rights.js';
import { ScrollKeeper } from '../lib/scroll.js';
import { nameList, plural } from '../lib/text.js';
import { dayName } from '../lib/time.js';
import { nameOf } from '../state/conversations.js';
import { findMessage } from '../state/messages.js';
import { getRoom, reachesBackTo } from '../state/rooms.js';
import { openEmojiPicker } from './emoji-picker.js';
import { messageListTop, roomNotice } from './message-list-hints.js';
import { createMessage, updateMessage, updateRunEnd, updateSystem } from './message.js';
import { handleMessageKeys } from './message-keys.js';
import { openMessageMenu, reactTo } from './message-menu.js';
import { roomRows } from './rows.js';
import { lastSeen, middleSeq } from './seen.js';
import { showToast } from './toast.js';
import { errorText } from './texts.js';

/**
 * Shows the message list of a conversation.
 * @param {HTMLElement} parent
 * @param {string} id the id of the conversation
 * @param {object} app
 * @param {{onReply: (message: object) => void, onEdit: (message: object) => void}} listeners
 * @returns {{stop: () => void, toEnd: () => void, show: (target: {id: string, seq: number}) => void,
 *   readAll: () => boolean}} `readAll` marks everything as read; false if nothing was unread
 */
export function mountMessages(parent, id, app, { onReply, onEdit }) {
  const { store, actions, client } = app;
  const list = h('div', { class: 'rows' });
  const top = messageListTop({ onRetry: () => actions.loadOlder(id) });
  const notice = roomNotice({ onRetry: () => actions.openRoom(id) });
  const box = h('div', { class: 'log', role: 'log', 'aria-label': 'Messages', tabIndex: 0 }, top.element, list);
  const jump = h(
    'button',
    { type: 'button', class: 'jump', hidden: true, on: { click: () => jumpToEnd() } },
    icon('down', 20),
    h('span', { class: 'jump-count', 'aria-hidden': 'true' }),
  );
  const firstUnread = h(
    'button',
    { type: 'button', class: 'first-unread', hidden: true, on: { click: () => showFirstUnread() } },
    icon('up', 16),
    h('span'),
  );
  parent.append(h('div', { class: 'log-frame' }, box, firstUnread, jump, notice.element));

  /** The read mark after which the unread line is shown. */
  let divider = null;
  let hadUnread = false;
  let isPositioned = false;
  /** Whether the user has read everything and looks at the end, where each new message is shown. */
  let isFollowing = false;
  let targetId = null;
  let frameRequest = null;
  /** Rows that were added in this frame, and rows that were added before it. */
  let [newRows, paintedRows] = [[], []];
  const scroll = new ScrollKeeper(box, list, { onTop: loadOlder, onMove });
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
    reactorNames,
    onRetry: ({ temp_id }) => actions.retry(temp_id),
    onDiscard: ({ temp_id }) => actions.discard(temp_id),
    onQuote: show,
  };

  function update() {
    const { state } = store;
    const room = getRoom(state, id);
    const conversation = state.conversations.get(id);
    setAttribute(box, 'aria-busy', room.status === 'loading' || room.olderStatus === 'loading' ? 'true' : null);
    notice.update(room);
    if (room.status !== 'ready' || !conversation) return;
    moveDivider(conversation);
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
    if (isPositioned) scroll.keepPosition(change);
    else showFirst(change);
    scroll.follow = !room.hasAfter;
    if (targetId !== null) highlight(targetId);
    frameRequest ??= requestAnimationFrame(checkPosition);
  }

  /**
   * Sets the unread line when the room is opened, and when the first unread message comes while nobody looks at the
   * page. Otherwise it stays where it is until the room is left.
   */
  function moveDivider({ unread_count, my }) {
    const isNew = unread_count > 0 && !hadUnread && !isPageActive();
    if (unread_count > 0 && (!isPositioned || isNew)) divider = my.last_read_seq;
    hadUnread = unread_count > 0;
  }

  /** Acts on the scroll position, at most once in a frame, because reading it makes the browser lay out the page. */
  function checkPosition() {
    frameRequest = null;
    onMove(scroll.atEnd);
    if (scroll.nearTop) loadOlder();
    settleRows();
  }

  /**
   * Lets the browser skip rows while they are not on the screen. It may do so only after it has painted them once and
   * remembers their height: with a guess the visible messages would move.
   */
  function settleRows() {
    for (const row of paintedRows) row.dataset.settled = '';
    [newRows, paintedRows] = [[], newRows];
    if (paintedRows.length > 0) frameRequest ??= requestAnimationFrame(checkPosition);
  }

  /** Shows the rows for the first time, and scrolls to the unread line, or to the end if there is none. */
  function showFirst(change) {
    change();
    isPositioned = true;
    scroll.toEnd();
    const line = list.querySelector('.unread-line');
    if (line) scroll.scrollTo(line);
  }

  function create({ kind }) {
    const lines = { day: 'day-line', unread: 'unread-line', system: 'system' };
    const row = kind === 'message' ? createMessage() : h('div', { class: lines[kind] });
    newRows.push(row);
    return row;
  }

  function updateRow(element, row) {
    const sender = row.grouped ? store.state.people.get(row.item.sender_id) : null;
    const members = row.item.mentions?.length > 0 || row.item.reply_to ? store.state.members.get(id) : null;
    const inputs = [row.item, row.first, row.grouped, sender, context.mayWrite, members];
    const isSame = element.inputs?.every((value, index) => value === inputs[index]) && !row.item.state;
    if (isSame && element.isLast === row.last) return;
    element.inputs = inputs;
    element.isLast = row.last;
    if (isSame && row.kind === 'message') return updateRunEnd(element, row, context);
    if (row.kind === 'message') updateMessage(element, row, context);
    else if (row.kind === 'system') updateSystem(element, row, context);
    else if (row.kind === 'day') fill(element, h('span', { textContent: dayName(row.item.created_at) }));
    else fill(element, h('span', { textContent: 'New messages' }));
    return undefined;
  }

  function loadOlder() {
    const room = getRoom(store.state, id);
    if (isPositioned && room.hasBefore && room.olderStatus === 'idle') actions.loadOlder(id);
  }

  function onMove(atEnd) {
    if (!isPositioned) return;
    const room = getRoom(store.state, id);
    const isAtNewest = atEnd && !room.hasAfter;
    actions.setReadingSeq(id, isAtNewest ? null : middleSeq(box, list));
    if (isPageActive()) markSeen(room, isAtNewest);
    isFollowing = isPageActive() && isAtNewest && isAllRead(room);
    if (scroll.nearEnd && room.hasAfter && room.newerStatus === 'idle') actions.loadNewer(id);
    const unread = store.state.conversations.get(id)?.unread_count ?? 0;
    jump.hidden = isAtNewest;
    setAttribute(
      jump,
      'aria-label',
      unread > 0 ? `Jump to newest, ${plural(unread, 'unread message')}` : 'Jump to newest',
    );
    setText(jump.lastChild, unread > 0 ? String(Math.min(unread, 99)) : '');
    firstUnread.hidden = unread === 0 || !isAbove(room);
    setText(firstUnread.lastChild, plural(unread, 'unread message'));
  }

  const isAllRead = ({ items }) =>
    (items.at(-1)?.seq ?? 0) <= (store.state.conversations.get(id)?.my.last_read_seq ?? 0);

  /**
   * Marks the messages as read that the user has seen now. Who follows the end has also seen those that passed between
   * two frames.
   */
  function markSeen(room, isAtNewest) {
    if (isFollowing && isAtNewest) return actions.markRead(id, room.items.at(-1)?.seq ?? 0);
    const mark = store.state.conversations.get(id)?.my.last_read_seq;
    const seen = mark === undefined || !reachesBackTo(room, mark) ? null : lastSeen(box, list, mark);
    if (seen !== null) actions.markRead(id, seen);
    return undefined;
  }

  /** Whether the first unread message is above what is on the screen. */
  function isAbove(room) {
    const mark = store.state.conversations.get(id)?.my.last_read_seq ?? 0;
    if (!reachesBackTo(room, mark)) return true;
    const first = room.items.find(({ seq }) => seq > mark);
    const element = first && list.querySelector(`[data-seq="${first.seq}"]`);
    return Boolean(element) && element.getBoundingClientRect().bottom < box.getBoundingClientRect().top;
  }

  /** Scrolls to the first unread message, and loads it first if necessary. */
  async function showFirstUnread() {
    const mark = store.state.conversations.get(id)?.my.last_read_seq ?? 0;
    divider = mark;
    if (!reachesBackTo(getRoom(store.state, id), mark) && !(await attempt(actions.loadAround(id, mark + 1)))) return;
    update();
    const line = list.querySelector('.unread-line');
    if (line) scroll.scrollTo(line);
    box.focus({ preventScroll: true });
  }

  /** Scrolls to the newest message and marks everything as read, because the user wants to be there. */
  function readAll() {
    const isUnread = (store.state.conversations.get(id)?.unread_count ?? 0) > 0;
    if (isUnread) toEnd();
    return isUnread;
  }

  async function jumpToEnd() {
    await toEnd({ smooth: true });
    box.focus({ preventScroll: true });
  }

  /**
   * Scrolls to the newest message, which marks all as read. If it is not loaded, because the user came from an old
   * message, it is loaded first.
   */
  async function toEnd({ smooth = false } = {}) {
    const loaded = getRoom(store.state, id).hasAfter && (await attempt(actions.loadNewest(id)));
    if (loaded) update();
    scroll.toEnd({ smooth: smooth && !loaded });
    if (!getRoom(store.state, id).hasAfter) actions.markAllRead(id);
  }

  /** Scrolls to a message, and loads it first if necessary. */
  async function show({ id: messageId, seq }) {
    if (findMessage(store.state, id, messageId)) return highlight(messageId);
    targetId = messageId;
    if (!(await attempt(actions.loadAround(id, seq)))) targetId = null;
    else if (!findMessage(store.state, id, messageId)) {
      targetId = null;
      showToast('That message is not here any more.');
    }
    return undefined;
  }

  function highlight(messageId) {
    const item = findMessage(store.state, id, messageId);
    const element = item && list.querySelector(`[data-seq="${item.seq}"]`);
    if (!element) return;
    targetId = null;
    scroll.scrollTo(element);
    element.classList.add('pointed');
    setTimeout(() => element.classList.remove('pointed'), 1_600);
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

  function menu(item, at) {
    openMessageMenu(item, at, app, { onReply, onEdit });
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

  const messageOf = (element) => findMessage(store.state, id, element.dataset.id);
  onLongPress(list, '.message[data-id]', (element) => {
    const item = messageOf(element);
    if (item) menu(item, element.querySelector('.bubble'));
  });
  handleMessageKeys(box, list, (element) => {
    const item = messageOf(element);
    if (item) menu(item, element.querySelector('.bubble'));
  });

  const onAttention = () => {
    if (isPageActive()) update();
    else isFollowing = false;
  };
  document.addEventListener('visibilitychange', onAttention);
  for (const type of ['focus', 'blur']) window.addEventListener(type, onAttention);
  const unwatch = store.watch([`room:${id}`, `outbox:${id}`, 'conversations', 'me'], update);
  update();
  return {
    toEnd,
    show,
    readAll,
    stop() {
      actions.setReadingSeq(id, null);
      document.removeEventListener('visibilitychange', onAttention);
      for (const type of ['focus', 'blur']) window.removeEventListener(type, onAttention);
      cancelAnimationFrame(frameRequest);
      unwatch();
      scroll.stop();
    },
  };
}

function isPageActive() {
  return document.visibilityState === 'visible' && document.hasFocus();
}
