// Leaving a group and blocking a user.
// This file contains leaving, blocking and unblocking. It must not contain the list of blocked users (blocked.js).

import { fill, h } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { nameOf } from '../../state/conversations.js';
import { confirmDialog } from '../dialog.js';
import { toastOnError } from '../toast.js';

export function leaveOrBlock({ id, app: { store, actions }, conversation, close }) {
  const element = h('div', { class: 'section-foot' });
  let shownKey = null;

  function update() {
    const now = conversation();
    const hasBlocked = now.type === 'direct' && store.state.blocks.has(now.peer?.id);
    const next = `${now.type} ${hasBlocked}`;
    if (next === shownKey) return;
    shownKey = next;
    fill(
      element,
      now.type === 'group' && button('leave', 'Leave group', leave),
      now.type === 'direct' &&
        now.peer &&
        (hasBlocked ? button('block', 'Unblock', unblock) : button('block', 'Block', block)),
    );
  }

  function button(name, label, run) {
    return h('button', { type: 'button', class: 'button danger-quiet', on: { click: run } }, icon(name, 18), label);
  }

  async function leave() {
    const owner = conversation().my.role === 'owner' && conversation().member_count > 1;
    const sure = await confirmDialog({
      title: 'Leave this group?',
      text: `You will no longer see its messages. ${
        owner ? 'Somebody else becomes its owner.' : 'Somebody in the group can add you again.'
      }`,
      action: 'Leave',
    });
    if (sure && (await toastOnError(actions.leave(id)))) close();
  }

  async function block() {
    const { peer } = conversation();
    const sure = await confirmDialog({
      title: `Block ${nameOf(peer)}?`,
      text: 'Neither of you can write to the other, or see whether the other is there. Groups are not affected.',
      action: 'Block',
    });
    if (sure) await toastOnError(actions.block(peer.id));
  }

  const unblock = () => toastOnError(actions.unblock(conversation().peer.id));

  return { element, update };
}
