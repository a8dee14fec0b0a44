// Who is in a group.
// Lives here: the dialog with its members, adding and removing them, and leaving. May not live here: the rules (the
// server holds them; this only hides what it would refuse).

import { fill, h, setText } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { keyedList } from '../lib/keyed.js';
import { nameOf, titleOf } from '../state/conversations.js';
import { plural } from '../lib/text.js';
import { avatar, presenceDot, updatePresenceDot } from './avatar.js';
import { confirmDialog, openDialog } from './dialog.js';
import { peoplePicker } from './people-picker.js';
import { sentence } from './words.js';

const RANK = { owner: 3, admin: 2, member: 1, observer: 0 };
const ROLES = { owner: 'Owner', admin: 'Admin', observer: 'Observer' };

export function openDetails(id, app) {
  const conversation = app.store.state.conversations.get(id);
  if (!conversation) return;
  let stop = () => {};
  openDialog({ title: titleOf(conversation), onClose: () => stop() }, (body, close) => {
    stop = build(body, close, id, app);
  });
}

function build(body, close, id, app) {
  const { store, actions, client } = app;
  const count = h('h3', { class: 'section-title' });
  const list = h('ul', { class: 'people members', role: 'list', 'aria-label': 'Members' });
  const problem = h('p', { class: 'form-status', role: 'alert', data: { kind: 'error' } });
  const adding = h('div', { class: 'adding', hidden: true });
  const addButton = h(
    'button',
    { type: 'button', class: 'button soft', on: { click: () => showAdding() } },
    icon('plus', 18),
    'Add people',
  );
  const leaveButton = h(
    'button',
    { type: 'button', class: 'button danger-quiet', on: { click: () => leave() } },
    icon('leave', 18),
    'Leave group',
  );

  const attempt = async (task) => {
    setText(problem, '');
    try {
      await task();
      return true;
    } catch (error) {
      setText(problem, sentence(error));
      return false;
    }
  };

  const mine = () => store.state.conversations.get(id)?.my.role ?? 'member';
  const mayRemove = (member) =>
    member.user.id !== store.state.me?.id && RANK[mine()] >= RANK.admin && RANK[mine()] > RANK[member.role];

  function row({ user }) {
    const name = nameOf(user);
    const dot = presenceDot();
    const role = h('span', { class: 'person-role' });
    const remove = h(
      'button',
      {
        type: 'button',
        class: 'icon-button small',
        'aria-label': `Remove ${name}`,
        title: 'Remove from the group',
        on: { click: () => removeMember(user) },
      },
      icon('close', 18),
    );
    const element = h(
      'li',
      { class: 'person' },
      h(
        'span',
        { class: 'conversation-face' },
        avatar({ id: user.id, name, url: user.avatar_url }, { fileToken: client.connection.fileToken }),
        dot,
      ),
      h(
        'span',
        { class: 'person-text' },
        h('span', { class: 'person-name', textContent: name }),
        h('span', { class: 'person-handle', textContent: `@${user.username}` }),
      ),
      role,
      remove,
    );
    element.parts = { dot, role, remove };
    return element;
  }

  function updateRow({ parts }, member) {
    const { me, presence } = store.state;
    updatePresenceDot(parts.dot, member.user.id === me?.id ? 'online' : presence.get(member.user.id)?.status);
    setText(parts.role, [member.user.id === me?.id && 'You', ROLES[member.role]].filter(Boolean).join(' · '));
    parts.remove.hidden = !mayRemove(member);
  }

  function update() {
    const { conversations, members } = store.state;
    const conversation = conversations.get(id);
    if (!conversation) return close();
    const known = members.get(id);
    setText(
      count,
      known?.status === 'error' ? 'The members could not be loaded.' : plural(conversation.member_count, 'member'),
    );
    keyedList(list, known?.items ?? [], { key: ({ user }) => user.id, create: row, update: updateRow });
    addButton.hidden = RANK[mine()] < RANK.admin || conversation.type !== 'group';
    leaveButton.hidden = conversation.type !== 'group';
    return undefined;
  }

  async function removeMember(user) {
    const name = nameOf(user);
    const sure = await confirmDialog({
      title: `Remove ${name}?`,
      text: `${name} will no longer see this conversation.`,
      action: 'Remove',
    });
    if (sure) await attempt(() => actions.removeMember(id, user.id));
  }

  async function leave() {
    const sure = await confirmDialog({
      title: 'Leave this group?',
      text: 'You will no longer see its messages. Somebody in the group can add you again.',
      action: 'Leave',
    });
    if (sure && (await attempt(() => actions.leave(id)))) close();
  }

  function showAdding() {
    let chosen = [];
    const present = new Set((store.state.members.get(id)?.items ?? []).map(({ user }) => user.id));
    const add = h('button', { type: 'button', class: 'button primary', textContent: 'Add', disabled: true });
    const cancel = h('button', { type: 'button', class: 'button quiet', textContent: 'Cancel' });
    const picker = peoplePicker(app, {
      several: true,
      without: present,
      onChange: (users) => {
        chosen = users;
        add.disabled = users.length === 0;
      },
    });
    const hide = () => {
      adding.hidden = true;
      addButton.disabled = false;
      addButton.focus();
    };
    cancel.addEventListener('click', hide);
    add.addEventListener('click', async () => {
      add.disabled = true;
      if (
        await attempt(() =>
          actions.addMembers(
            id,
            chosen.map((user) => user.id),
          ),
        )
      )
        hide();
      else add.disabled = false;
    });
    fill(adding, picker.element, h('div', { class: 'dialog-actions' }, cancel, add));
    adding.hidden = false;
    addButton.disabled = true;
    picker.focus();
  }

  body.append(
    h('div', { class: 'section-head' }, count, addButton),
    adding,
    problem,
    list,
    h('div', { class: 'section-foot' }, leaveButton),
  );
  update();
  actions.loadMembers(id);
  return store.watch([`members:${id}`, 'conversations', 'presence'], update);
}
