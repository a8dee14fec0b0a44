// Where messages are written.
// Lives here: the text box, its keys and size, the draft, the limit, and whether one writes, replies or edits. May not
// live here: sending (the SDK), the strip above the box (composer-bar.js), names after an @ (mention-list.js).

import { h, setAttribute, setText } from '../lib/dom.js';
import { readDraft, writeDraft } from '../lib/drafts.js';
import { icon } from '../lib/icons.js';
import { mayWrite } from '../lib/rights.js';
import { LONGEST_MESSAGE, isBlank, plural, scalarCount } from '../lib/text.js';
import { findMessage } from '../state/messages.js';
import { composerBar } from './composer-bar.js';
import { mountMentionList } from './mention-list.js';
import { mayEdit } from './message-menu.js';
import { readOnlyNote } from './read-only.js';
import { sentence } from './words.js';

/** From here on the rest of the limit is shown. */
const WARN_FROM = LONGEST_MESSAGE - 500;

/** @returns {{stop: () => void, replyTo: (message: object) => void, edit: (message: object) => void}} */
export function mountComposer(parent, id, app, { onSent }) {
  const { store, actions } = app;
  const box = h('textarea', {
    class: 'composer-box',
    rows: '1',
    'aria-label': 'Message',
    placeholder: 'Write a message',
    enterkeyhint: 'send',
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

  /** `{kind: 'reply'|'edit', message}` while one does either. */
  let about = null;
  let busy = false;
  const userId = store.state.me.id;

  function send(event) {
    event.preventDefault();
    const content = box.value.trim();
    if (button.disabled) return;
    if (about?.kind === 'edit') {
      save(about.message, content);
      return;
    }
    actions.send(id, content, about?.message);
    box.value = '';
    turnTo(null);
    box.focus();
    onSent();
  }

  /** The text stays in the box until the server has it. */
  async function save(message, content) {
    if (content === message.content) return cancel();
    busy = true;
    changed();
    let problem = '';
    try {
      await actions.edit(message, content);
    } catch (error) {
      problem = sentence(error);
    }
    busy = false;
    if (about?.message === message && problem === '') return cancel();
    changed();
    return setText(counter, problem);
  }

  function changed() {
    const count = scalarCount(box.value);
    const tooLong = count > LONGEST_MESSAGE;
    button.disabled = isBlank(box.value) || tooLong || busy || form.hidden;
    setText(counter, limitText(count));
    counter.classList.toggle('over', tooLong);
    setAttribute(box, 'aria-invalid', tooLong ? 'true' : null);
    if (about?.kind !== 'edit') writeDraft(userId, id, box.value);
    resize();
  }

  /** As high as its text; the style sheet sets the most it may take. */
  function resize() {
    box.style.height = 'auto';
    box.style.height = `${box.scrollHeight}px`;
  }

  /** Editing puts the draft aside, and afterwards it is back. */
  function turnTo(next) {
    if (about?.kind === 'edit') box.value = readDraft(userId, id);
    about = next;
    if (next?.kind === 'edit') box.value = next.message.content;
    form.classList.toggle('editing', next?.kind === 'edit');
    bar.show(next);
    const label = next?.kind === 'edit' ? 'Save' : 'Send';
    setAttribute(button, 'aria-label', label);
    setAttribute(button, 'title', label);
    button.replaceChildren(icon(next?.kind === 'edit' ? 'check' : 'send', 20));
    changed();
  }

  function cancel() {
    turnTo(null);
    box.focus();
  }

  function begin(kind, message) {
    turnTo({ kind, message });
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }

  /** The newest of one's own that can be edited. */
  function editLast() {
    const items = store.state.rooms.get(id)?.items ?? [];
    const last = items.findLast((item) => mayEdit(item, item.sender_id === userId));
    if (last) begin('edit', last);
    return Boolean(last);
  }

  box.addEventListener('input', () => {
    changed();
    if (about?.kind === 'edit') return;
    if (isBlank(box.value)) actions.stoppedTyping();
    else actions.typed(id);
  });
  box.addEventListener('keydown', (event) => {
    // While an input method composes a word, Enter chooses it; while names are offered, the list has the keys.
    if (event.isComposing || event.defaultPrevented) return;
    if (event.key === 'Escape' && about) {
      event.preventDefault();
      event.stopPropagation();
      cancel();
    }
    if (event.key === 'ArrowUp' && box.value === '' && !about && editLast()) event.preventDefault();
    if (event.key !== 'Enter' || event.shiftKey) return;
    event.preventDefault();
    form.requestSubmit();
  });
  box.addEventListener('blur', () => actions.stoppedTyping());

  /** Who may only read sees why; who may write again finds the draft. */
  function showRights() {
    const conversation = store.state.conversations.get(id);
    const was = form.hidden;
    form.hidden = !conversation || !mayWrite(conversation);
    note.show(conversation && form.hidden ? conversation : null);
    const message = about && findMessage(store.state, id, about.message.id);
    // What was deleted meanwhile can neither be answered nor edited.
    if (about && (message?.deleted_at || (!message && about.kind === 'edit'))) turnTo(null);
    else if (form.hidden !== was) changed();
  }

  box.value = readDraft(userId, id);
  turnTo(null);
  showRights();
  const unwatch = store.watch([`room:${id}`, 'conversations', 'blocks'], showRights);
  return {
    replyTo: (message) => begin('reply', message),
    edit: (message) => begin('edit', message),
    stop() {
      unwatch();
      mentions.stop();
      actions.stoppedTyping();
    },
  };
}

function limitText(count) {
  if (count < WARN_FROM) return '';
  if (count > LONGEST_MESSAGE) return `${plural(count - LONGEST_MESSAGE, 'character')} too many`;
  return `${plural(LONGEST_MESSAGE - count, 'character')} left`;
}
