// What there is to know and to set about a conversation.
// Lives here: the dialog and the order of its sections. May not live here: the sections, one file each.

import { titleOf } from '../../state/conversations.js';
import { openDialog } from '../dialog.js';
import { about } from './about.js';
import { farewell } from './farewell.js';
import { members } from './members.js';
import { mine } from './mine.js';
import { pins } from './pins.js';
import { stats } from './stats.js';

/**
 * @param {string} id
 * @param {object} app
 * @param {{onShow: (place: {id: string, seq: number}) => void}} listeners leads to a message
 */
export function openDetails(id, app, { onShow }) {
  const { store } = app;
  const conversation = store.state.conversations.get(id);
  if (!conversation || document.querySelector('dialog[open]')) return;
  let stops = [];
  const title = conversation.type === 'direct' ? 'Conversation details' : 'Group details';
  openDialog({ title, className: 'details', onClose: () => stops.forEach((stop) => stop()) }, (body, close) => {
    const part = { id, app, close, onShow, conversation: () => store.state.conversations.get(id) };
    const sections = [about, mine, ...(conversation.type === 'direct' ? [] : [members]), pins, stats, farewell].map(
      (section) => section(part),
    );
    body.append(...sections.map(({ element }) => element));
    const update = () => {
      if (!part.conversation()) return close();
      return sections.forEach((section) => section.update());
    };
    update();
    stops = [store.watch(['conversations', 'presence', 'blocks', 'me', `members:${id}`, `pins:${id}`], update)];
    body.closest('dialog').setAttribute('aria-description', titleOf(conversation));
  });
}
