// Details of a message.
// This file contains the dialogs with former texts, receipts and reactions.

import { h, fill } from '../lib/dom.js';
import { plural } from '../lib/text.js';
import { exactTime } from '../lib/time.js';
import { nameOf } from '../state/conversations.js';
import { avatar } from './avatar.js';
import { openDialog } from './dialog.js';
import { errorText } from './texts.js';

/** Opens the former texts, the oldest first, and the present text. */
export function openHistory(item, { actions }) {
  openLoadingDialog(
    'History',
    () => actions.history(item),
    (versions) => [
      h(
        'ol',
        { class: 'versions', 'aria-label': 'Former texts' },
        [...versions, { content: item.content, edited_at: null }].map(({ content, edited_at }, index, all) =>
          h(
            'li',
            { class: 'version' },
            h('p', {
              class: 'version-time',
              textContent: index === all.length - 1 ? 'Now' : `Until ${exactTime(edited_at)}`,
            }),
            h('p', { class: 'version-text', dir: 'auto', textContent: content }),
          ),
        ),
      ),
    ],
  );
}

export function openReceipts(item, app) {
  openLoadingDialog(
    'Receipts',
    () => app.actions.receipts(item),
    ({ read, delivered, member_count, read_ratio }) => {
      const readers = new Set(read.map(({ user_id }) => user_id));
      const others = Math.max(0, member_count - 1);
      const deliveredOnly = delivered.filter(({ user_id }) => !readers.has(user_id));
      return [
        h('p', {
          class: 'dialog-text',
          textContent:
            others === 0
              ? 'Nobody else is here.'
              : `Read by ${Math.round(read_ratio * 100)} % of ${plural(others, 'other')}.`,
        }),
        userSection(`Read by ${read.length}`, 'Nobody has read it yet.', read, app),
        deliveredOnly.length > 0 && userSection(`Delivered to ${deliveredOnly.length}`, '', deliveredOnly, app),
      ];
    },
  );
}

export function openReactors(item, app) {
  openLoadingDialog(
    'Reactions',
    () => app.actions.reactions(item),
    (reactions) =>
      reactions.length === 0
        ? [h('p', { class: 'dialog-text', textContent: 'Nobody reacts to it any more.' })]
        : reactions.map(({ emoji, count, user_ids }) =>
            userSection(
              `${emoji} ${count}`,
              '',
              user_ids.map((user_id) => ({ user_id, at: null })),
              app,
            ),
          ),
  );
}

/** Opens a dialog whose content is loaded from the server. */
function openLoadingDialog(title, load, show) {
  openDialog({ title }, async (body) => {
    fill(body, h('p', { class: 'dialog-text', role: 'status', textContent: 'One moment…' }));
    try {
      const answer = await load();
      fill(body, ...show(answer));
    } catch (error) {
      fill(
        body,
        h('p', { class: 'form-status', role: 'alert', data: { kind: 'error' }, textContent: errorText(error) }),
      );
    }
  });
}

function userSection(title, empty, entries, { store, client }) {
  return h(
    'section',
    { class: 'info-group' },
    h('h3', { class: 'section-title', textContent: title }),
    entries.length === 0
      ? h('p', { class: 'people-hint', textContent: empty })
      : h(
          'ul',
          { class: 'people', role: 'list', 'aria-label': title },
          entries.map(({ user_id, at }) => {
            const user = store.state.people.get(user_id);
            const name = nameOf(user) ?? 'Somebody';
            return h(
              'li',
              { class: 'person' },
              avatar(
                { id: user_id, name, url: user?.avatar_url },
                { fileToken: client.connection.fileToken, className: 'small' },
              ),
              h(
                'span',
                { class: 'person-text' },
                h('span', { class: 'person-name', textContent: user_id === store.state.me?.id ? 'You' : name }),
                at && h('time', { class: 'person-handle', datetime: at, textContent: exactTime(at) }),
              ),
            );
          }),
        ),
  );
}
