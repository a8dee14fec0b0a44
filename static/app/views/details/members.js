// The members of a group.
// This file contains the list with roles and presence, and the menu of a member. It must not contain adding members
// (add-people.js), or the permissions (the server checks them; lib/rights.js only hides what the server would refuse).

import { h, setText } from '../../lib/dom.js';
import { keepFocus } from '../../lib/focus.js';
import { icon } from '../../lib/icons.js';
import { keyedList } from '../../lib/keyed.js';
import { mayManage, mayRemove, mayStepDown, assignableRoles } from '../../lib/rights.js';
import { plural } from '../../lib/text.js';
import { nameOf } from '../../state/conversations.js';
import { avatar, presenceDot, updatePresenceDot } from '../avatar.js';
import { confirmDialog } from '../dialog.js';
import { openMenu } from '../menu.js';
import { toastOnError } from '../toast.js';
import { addPeopleForm } from './add-people.js';

const ROLES = { owner: 'Owner', admin: 'Admin', observer: 'Observer' };
const RANK = { owner: 0, admin: 1, member: 2, observer: 3 };

export function members({ id, app, conversation, close }) {
  const { store, actions, client } = app;
  const count = h('h3', { class: 'section-title' });
  const list = h('ul', { class: 'people members', role: 'list', 'aria-label': 'Members' });
  const adding = addPeopleForm(id, app);
  const element = h(
    'section',
    { class: 'section' },
    h('div', { class: 'section-head' }, count, adding.button),
    adding.element,
    list,
  );

  function row({ user }) {
    const name = nameOf(user);
    const dot = presenceDot();
    const role = h('span', { class: 'person-role' });
    const manage = h(
      'button',
      {
        type: 'button',
        class: 'icon-button small',
        'aria-label': `Manage ${name}`,
        title: 'More',
        on: { click: () => menu(user.id, manage) },
      },
      icon('more', 18),
    );
    const item = h(
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
      manage,
    );
    item.parts = { dot, role, manage };
    return item;
  }

  function updateRow({ parts }, { user, role }) {
    const { me, presence } = store.state;
    const own = user.id === me?.id;
    updatePresenceDot(parts.dot, own ? 'online' : presence.get(user.id)?.status);
    setText(parts.role, [own && 'You', ROLES[role]].filter(Boolean).join(' · '));
    parts.manage.hidden = own && !mayStepDown(conversation());
  }

  function menu(userId, at) {
    const member = store.state.members.get(id)?.items.find(({ user }) => user.id === userId);
    if (!member) return;
    const { user, role } = member;
    const name = nameOf(user);
    if (user.id === store.state.me?.id) {
      const down = { label: 'Be a member again…', icon: 'people', run: () => stepDown(user) };
      openMenu({ label: name, at, items: [down] });
      return;
    }
    const labels = { owner: 'Make owner…', admin: 'Make admin', member: 'Make member', observer: 'Make observer' };
    openMenu({
      label: name,
      at,
      items: [
        { label: 'Write a message', icon: 'compose', run: () => write(user) },
        ...assignableRoles(conversation(), role).map((to) => ({
          label: labels[to],
          icon: 'people',
          run: () => changeRole(user, to),
        })),
        mayRemove(conversation(), role) && {
          label: 'Remove from the group',
          icon: 'leave',
          danger: true,
          run: () => remove(user),
        },
      ],
    });
  }

  async function write(user) {
    if (await toastOnError(actions.startDirect(user.id))) close();
  }

  async function changeRole(user, role) {
    const name = nameOf(user);
    const sure =
      role !== 'owner' ||
      (await confirmDialog({
        title: `Make ${name} the owner?`,
        text: 'A group has one owner. You become an admin, and only the new owner can give it back.',
        action: 'Make owner',
      }));
    if (sure) await toastOnError(actions.setRole(id, user.id, role));
  }

  async function stepDown(user) {
    const sure = await confirmDialog({
      title: 'Stop being an admin?',
      text: 'You stay in the group as a member. Only its owner can make you an admin again.',
      action: 'Be a member',
    });
    if (sure) await toastOnError(actions.setRole(id, user.id, 'member'));
  }

  async function remove(user) {
    const name = nameOf(user);
    const sure = await confirmDialog({
      title: `Remove ${name}?`,
      text: `${name} will no longer see this conversation.`,
      action: 'Remove',
    });
    if (sure) await toastOnError(actions.removeMember(id, user.id));
  }

  function update() {
    const known = store.state.members.get(id);
    setText(
      count,
      known?.status === 'error' ? 'The members could not be loaded.' : plural(conversation().member_count, 'member'),
    );
    const items = [...(known?.items ?? [])].sort(
      (a, b) => RANK[a.role] - RANK[b.role] || nameOf(a.user).localeCompare(nameOf(b.user)),
    );
    const change = () => keyedList(list, items, { key: ({ user }) => user.id, create: row, update: updateRow });
    keepFocus(list, change, adding.button);
    adding.allow(mayManage(conversation()));
  }

  actions.loadMembers(id);
  return { element, update };
}
