// Where messages are written.
// Lives here: the text box, its keys and size, the draft, the limit, and what is being replied to.
// May not live here: sending (actions.js hands it to the SDK).

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { readDraft, writeDraft } from '../lib/drafts.js';
import { icon } from '../lib/icons.js';
import { LONGEST_MESSAGE, plural, scalarCount } from '../lib/text.js';
import { nameOf } from '../state/conversations.js';

/** From here on the rest of the limit is shown. */
const WARN_FROM = LONGEST_MESSAGE - 500;

/** @returns {{stop: () => void, focus: () => void, replyTo: (message: object) => void}} */
export function mountComposer(parent, id, { store, actions }, { onSent }) {
  const box = h('textarea', {
    class: 'composer-box',
    rows: '1',
    'aria-label': 'Message',
    placeholder: 'Write a message',
    enterkeyhint: 'send',
    dir: 'auto',
    maxlength: String(LONGEST_MESSAGE * 4),
  });
  const button = h(
    'button',
    { type: 'submit', class: 'send-button', 'aria-label': 'Send', title: 'Send' },
    icon('send', 20),
  );
  const counter = h('p', { class: 'composer-counter', role: 'status' });
  const replyBar = h('div', { class: 'reply-bar', hidden: true });
  const form = h(
    'form',
    { class: 'composer', on: { submit: send } },
    replyBar,
    h('div', { class: 'composer-row' }, box, button),
    counter,
  );
  parent.append(form);

  let reply = null;
  const userId = store.state.me.id;

  function send(event) {
    event.preventDefault();
    const content = box.value.trim();
    if (content === '' || scalarCount(content) > LONGEST_MESSAGE || box.disabled) return;
    actions.send(id, content, reply);
    box.value = '';
    setReply(null);
    changed();
    box.focus();
    onSent();
  }

  function changed() {
    const count = scalarCount(box.value);
    const tooLong = count > LONGEST_MESSAGE;
    button.disabled = count === 0 || tooLong || box.disabled;
    setText(counter, limitText(count));
    counter.classList.toggle('over', tooLong);
    setAttribute(box, 'aria-invalid', tooLong ? 'true' : null);
    writeDraft(userId, id, box.value);
    resize();
  }

  /** As high as its text; the style sheet sets the most it may take. */
  function resize() {
    box.style.height = 'auto';
    box.style.height = `${box.scrollHeight}px`;
  }

  function setReply(message) {
    reply = message;
    replyBar.hidden = message === null;
    if (!message) return fill(replyBar);
    const name =
      message.sender_id === userId ? 'yourself' : (nameOf(store.state.people.get(message.sender_id)) ?? 'somebody');
    return fill(
      replyBar,
      icon('reply', 18),
      h(
        'span',
        { class: 'reply-bar-text' },
        h('span', { class: 'reply-bar-name', textContent: `Replying to ${name}` }),
        h('span', { dir: 'auto', textContent: message.content }),
      ),
      h(
        'button',
        { type: 'button', class: 'icon-button', 'aria-label': 'Do not reply', on: { click: () => cancelReply() } },
        icon('close', 18),
      ),
    );
  }

  function cancelReply() {
    setReply(null);
    box.focus();
  }

  box.addEventListener('input', () => {
    changed();
    if (box.value.trim() === '') actions.stoppedTyping();
    else actions.typed(id);
  });
  box.addEventListener('keydown', (event) => {
    // While an input method composes a word, Enter chooses it.
    if (event.isComposing) return;
    if (event.key === 'Escape' && reply) {
      event.stopPropagation();
      cancelReply();
    }
    if (event.key !== 'Enter' || event.shiftKey) return;
    event.preventDefault();
    form.requestSubmit();
  });
  box.addEventListener('blur', () => actions.stoppedTyping());

  /** Who may only read sees why; who may write again finds the draft. */
  function showRights() {
    const conversation = store.state.conversations.get(id);
    const why = conversation ? whyReadOnly(conversation) : 'No conversation';
    form.hidden = !conversation;
    box.disabled = why !== null;
    box.placeholder = why ?? 'Write a message';
    changed();
  }

  box.value = readDraft(userId, id);
  showRights();
  const unwatch = store.watch([`room:${id}`, 'conversations'], showRights);
  return {
    focus: () => box.focus({ preventScroll: true }),
    replyTo(message) {
      setReply(message);
      box.focus();
    },
    stop() {
      unwatch();
      actions.stoppedTyping();
    },
  };
}

/** Why this user may not write here; null if nothing stands against it. */
function whyReadOnly({ my, class: archivable }) {
  if (my.role === 'observer') return 'You can read here, but not write.';
  if (archivable?.archived) return 'This class is archived.';
  return my.blocked ? 'You cannot write to this person.' : null;
}

function limitText(count) {
  if (count < WARN_FROM) return '';
  if (count > LONGEST_MESSAGE) return `${plural(count - LONGEST_MESSAGE, 'character')} too many`;
  return `${plural(LONGEST_MESSAGE - count, 'character')} left`;
}
