// Getting away from somebody.
// Lives here: leaving a group, blocking and unblocking somebody. May not live here: the list of the blocked
// (settings/blocked.js).

import { fill, h } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { nameOf } from '../../state/conversations.js';
import { confirmDialog } from '../dialog.js';
import { complain } from '../toast.js';

export function farewell({ id, app: { store, actions }, conversation, close }) {
  const element = h('div', { class: 'section-foot' });
  let look = null;

  function update() {
    const now = conversation();
    const blocks = now.type === 'direct' && store.state.blocks.has(now.peer?.id);
    const next = `${now.type} ${blocks}`;
    if (next === look) return;
    look = next;
    fill(
      element,
      now.type === 'group' && button('leave', 'Leave group', leave),
      now.type === 'direct' &&
        now.peer &&
        (blocks ? button('block', 'Unblock', unblock) : button('block', 'Block', block)),
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
    if (sure && (await complain(actions.leave(id)))) close();
  }

  async function block() {
    const { peer } = conversation();
    const sure = await confirmDialog({
      title: `Block ${nameOf(peer)}?`,
      text: 'Neither of you can write to the other, or see whether the other is there. You still meet in groups.',
      action: 'Block',
    });
    if (sure) await complain(actions.block(peer.id));
  }

  const unblock = () => complain(actions.unblock(conversation().peer.id));

  return { element, update };
}
