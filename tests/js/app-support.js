// A store with one conversation, and frames that change it.
// This file contains what the tests of the app's state share. It must not contain assertions.

import { dispatch } from '../../static/app/dispatch.js';
import { setConversations } from '../../static/app/state/conversations.js';
import { showPage, getRoom } from '../../static/app/state/rooms.js';
import { Store } from '../../static/app/store.js';

export const ANA = { id: 'ana', username: 'ana', display_name: 'Ana', avatar_url: null };

export const my = (last_read_seq = 0, more = {}) => ({
  role: 'member',
  last_read_seq,
  muted_until: null,
  archived: false,
  pinned: false,
  notify: 'all',
  blocked: false,
  ...more,
});

/** A direct conversation `c` with Ana at seq 4 and rev 10, with one unread message. */
export function conversation(more = {}) {
  return {
    id: 'c',
    type: 'direct',
    name: null,
    description: null,
    avatar_url: null,
    class: null,
    created_at: '2026-01-01T00:00:00.000Z',
    last_seq: 4,
    last_rev: 10,
    last_message: null,
    member_count: 2,
    unread_count: 1,
    my: my(3),
    peer: { ...ANA, presence: 'online' },
    ...more,
  };
}

export function setup(more = {}) {
  const store = new Store();
  store.state.me = { id: 'me', username: 'me', display_name: 'Me' };
  setConversations(store, { conversations: [conversation(more)] });
  return {
    store,
    c: () => store.state.conversations.get('c'),
    room: () => getRoom(store.state, 'c'),
    item: (seq) => getRoom(store.state, 'c').items.find((item) => item.seq === seq),
    apply: (frame) => dispatch(store, frame),
    /** The newest messages, read at revision 10. */
    load: (...items) => showNewestPage(store, { items, has_more_before: true, has_more_after: false, rev: 10 }),
  };
}

/** Shows a page of the newest messages. */
export const showNewestPage = (store, page) => showPage(store, 'c', page, {}, 0);

export const message = (seq, sender_id = 'ana', more = {}) => ({
  id: `m${seq}`,
  conversation_id: 'c',
  seq,
  sender_id,
  sender: ANA,
  type: 'text',
  content: `text ${seq}`,
  data: null,
  attachments: [],
  reply_to: null,
  mentions: [],
  mentions_all: false,
  reactions: [],
  pinned: false,
  temp_id: null,
  edited_at: null,
  deleted_at: null,
  created_at: `2026-01-01T00:00:${String(seq % 60).padStart(2, '0')}.000Z`,
  ...more,
});

/** A frame of the conversation's stream. */
export const frame = (type, rev, payload) => ({
  type,
  stream: 'conversation',
  rev,
  payload: { conversation_id: 'c', ...payload },
});

/** A frame of the user's own stream. */
export const userEvent = (type, payload) => ({
  type,
  stream: 'user',
  rev: 1,
  payload: { conversation_id: 'c', ...payload },
});

export const messageNew = (rev, seq, sender, more) =>
  frame('message.new', rev, { message: message(seq, sender, more) });

export const edited = (rev, seq, more) =>
  frame('message.edited', rev, {
    message: { ...message(seq), edited_at: '2026-01-02T00:00:00.000Z', ...more },
  });

export const deleted = (rev, seq) => frame('message.deleted', rev, { message_id: `m${seq}`, seq });
