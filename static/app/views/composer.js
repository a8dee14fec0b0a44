// The text box for messages.
// This file contains the text box, its keys and size, the draft, the limit, and whether the user writes, replies or
// edits. It must not contain sending (the SDK), the bar above the box (composer-bar.js), or names after an @
// (mention-list.js).

import { h, setAttribute, setText } from '../lib/dom.js';
import { readDraft, writeDraft } from '../lib/drafts.js';
import { icon } from '../lib/icons.js';
import { mayWrite } from '../lib/rights.js';
import { MAX_MESSAGE_LENGTH, isBlank, plural, scalarCount } from '../lib/text.js';
import { isTouch } from '../lib/touch.js';
import { findMessage } from '../state/messages.js';
import { composerBar } from './composer-bar.js';
import { mountMentionList } from './mention-list.js';
import { mayEdit } from './message-menu.js';
import { readOnlyNote } from './read-only.js';
import { errorText } from './texts.js';

/** From this length the number of characters left is shown. */
const WARNING_LENGTH = MAX_MESSAGE_LENGTH - 500;

/** @returns {{stop: () => void, replyTo: (message: object) => void, edit: (message: object) => void}} */
export function mountComposer(parent, id, app, { onSent }) {
  const { store, actions } = app;
  const box = h('textarea', {
    class: 'composer-box',
    rows: '1',
    'aria-label': 'Message',
    placeholder: 'Write a message',
    enterkeyhint: isTouch() ? 'enter' : 'send',
    dir: 'auto',
  });
  const button = h('button', { type: 'submit', class: 'send-button', 'aria-label': 'Send', title: 'Send' });
  const counter = h('p', { class: 'composer-counter', role: 'status' });
  const bar = composerBar(store, { onCancel: cancel });
  const note = readOnlyNote(app);
  const form = h(
    'form',
    { class: 'composer', on: { submit: send } },
    bar.element,
    h('div', { class: 'composer-row' }, box, button),
    counter,
  );
  const mentions = mountMentionList(form, box, id, app);
  parent.append(form, note.element);

  /** `{kind: 'reply'|'edit', message}` while the user replies or edits, else null. */
  let target = null;
  let busy = false;
  const userId = store.state.me.id;

  function send(event) {
    event.preventDefault();
    const content = box.value.trim();
    if (button.disabled) return;
    if (target?.kind === 'edit') {
      save(target.message, content);
      return;
    }
    actions.send(id, content, target?.message);
    box.value = '';
    setTarget(null);
    box.focus();
    onSent();
  }

  /** Saves an edit. The text stays in the box until the server has answered. */
  async function save(message, content) {
    if (content === message.content) return cancel();
    busy = true;
    update();
    let errorMessage = '';
    try {
      await actions.edit(message, content);
    } catch (error) {
      errorMessage = errorText(error);
    }
    busy = false;
    if (target?.message === message && errorMessage === '') return cancel();
    update();
    return setText(counter, errorMessage);
  }

  function update() {
    const count = scalarCount(box.value);
    const tooLong = count > MAX_MESSAGE_LENGTH;
    button.disabled = isBlank(box.value) || tooLong || busy || form.hidden;
    setText(counter, limitText(count));
    counter.classList.toggle('over', tooLong);
    setAttribute(box, 'aria-invalid', tooLong ? 'true' : null);
    if (target?.kind !== 'edit') writeDraft(userId, id, box.value);
    resize();
  }

  /** Makes the box as high as its text. The style sheet limits the height. */
  function resize() {
    box.style.height = 'auto';
    box.style.height = `${box.scrollHeight}px`;
  }

  /** Sets the message to answer or edit. The draft is stored while the user edits, and shown again afterwards. */
  function setTarget(next) {
    if (target?.kind === 'edit') box.value = readDraft(userId, id);
    target = next;
    if (next?.kind === 'edit') box.value = next.message.content;
    form.classList.toggle('editing', next?.kind === 'edit');
    bar.show(next);
    const label = next?.kind === 'edit' ? 'Save' : 'Send';
    setAttribute(button, 'aria-label', label);
    setAttribute(button, 'title', label);
    button.replaceChildren(icon(next?.kind === 'edit' ? 'check' : 'send', 20));
    update();
  }

  function cancel() {
    setTarget(null);
    box.focus();
  }

  function start(kind, message) {
    setTarget({ kind, message });
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }

  /** Edits the newest message of the user that can be edited. @returns {boolean} whether there is one */
  function editLast() {
    const items = store.state.rooms.get(id)?.items ?? [];
    const last = items.findLast((item) => mayEdit(item, item.sender_id === userId));
    if (last) start('edit', last);
    return Boolean(last);
  }

  box.addEventListener('input', () => {
    update();
    if (target?.kind === 'edit') return;
    if (isBlank(box.value)) actions.stopTyping();
    else actions.noteKeystroke(id);
  });
  box.addEventListener('keydown', (event) => {
    // While an input method composes a word, Enter chooses it. While names are offered, their list handles the keys.
    if (event.isComposing || event.defaultPrevented) return;
    if (event.key === 'Escape' && target) {
      event.preventDefault();
      event.stopPropagation();
      cancel();
    }
    if (event.key === 'ArrowUp' && box.value === '' && !target && editLast()) event.preventDefault();
    if (event.key !== 'Enter' || event.shiftKey) return;
    // The keyboard of a phone has no Shift+Enter, so its Enter key begins a new line; the button sends.
    if (isTouch() && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    form.requestSubmit();
  });
  box.addEventListener('blur', () => actions.stopTyping());

  /** Shows either the form, or the reason why the user cannot write. */
  function showRights() {
    const conversation = store.state.conversations.get(id);
    const wasHidden = form.hidden;
    form.hidden = !conversation || !mayWrite(conversation);
    note.show(conversation && form.hidden ? conversation : null);
    const message = target && findMessage(store.state, id, target.message.id);
    // A message that was deleted meanwhile can neither be answered nor edited.
    if (target && (message?.deleted_at || (!message && target.kind === 'edit'))) setTarget(null);
    else if (form.hidden !== wasHidden) update();
  }

  box.value = readDraft(userId, id);
  setTarget(null);
  showRights();
  const unwatch = store.watch([`room:${id}`, 'conversations', 'blocks'], showRights);
  return {
    replyTo: (message) => start('reply', message),
    edit: (message) => start('edit', message),
    stop() {
      unwatch();
      mentions.stop();
      actions.stopTyping();
    },
  };
}

function limitText(count) {
  if (count < WARNING_LENGTH) return '';
  if (count > MAX_MESSAGE_LENGTH) return `${plural(count - MAX_MESSAGE_LENGTH, 'character')} too many`;
  return `${plural(MAX_MESSAGE_LENGTH - count, 'character')} left`;
}
