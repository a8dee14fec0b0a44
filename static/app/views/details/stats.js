// The statistics of a conversation.
// This file shows counts, which are loaded when the user opens the section. It must not contain counting; the server
// does that.

import { fill, h } from '../../lib/dom.js';
import { dateOf } from '../../lib/time.js';
import { nameOf } from '../../state/conversations.js';
import { errorText } from '../texts.js';

/** The most members in the list of those who wrote the most messages. */
const MAX_WRITERS = 5;

export function stats({ id, app: { store, actions } }) {
  const body = h('div', { class: 'stats' });
  const load = async () => {
    if (!element.open) return;
    fill(body, h('p', { class: 'people-hint', role: 'status', textContent: 'One moment…' }));
    try {
      show(await actions.stats(id));
    } catch (error) {
      fill(
        body,
        h('p', { class: 'form-status', role: 'alert', data: { kind: 'error' }, textContent: errorText(error) }),
      );
    }
  };
  const element = h(
    'details',
    { class: 'section fold', on: { toggle: load } },
    h('summary', { class: 'section-title', textContent: 'Statistics' }),
    body,
  );

  function show({ messages, attachments, links, members, messages_by_member: writers, first_message_at: first }) {
    const { people, me } = store.state;
    const figures = [
      ['Messages', messages],
      ['Attachments', attachments],
      ['Links', links],
      ['Members', members],
    ];
    const nameFor = (userId) => (userId === me?.id ? 'You' : (nameOf(people.get(userId)) ?? 'Somebody who left'));
    const maxCount = Math.max(1, ...writers.map(({ count }) => count));
    fill(
      body,
      h(
        'dl',
        { class: 'figures' },
        figures.map(([name, value]) =>
          h('div', {}, h('dt', { textContent: name }), h('dd', { textContent: value.toLocaleString() })),
        ),
      ),
      first && h('p', { class: 'people-hint', textContent: `Since ${dateOf(first)}.` }),
      writers.length > 0 &&
        h(
          'ul',
          { class: 'writers', role: 'list', 'aria-label': 'Messages by member' },
          writers
            .slice(0, MAX_WRITERS)
            .map(({ user_id, count }) =>
              h(
                'li',
                {},
                h('span', { class: 'person-name', textContent: nameFor(user_id) }),
                h('meter', { max: String(maxCount), value: count, 'aria-hidden': 'true' }),
                h('span', { class: 'writer-count', textContent: count.toLocaleString() }),
              ),
            ),
        ),
    );
  }

  return { element, update: () => {} };
}
