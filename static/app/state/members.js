// Who is in a conversation.
// Lives here: changes of `members` and of `member_count`. May not live here: presence (people.js).

import { met } from './people.js';

export function membersLoaded(store, id, items) {
  met(
    store,
    items.map(({ user, presence }) => ({ ...user, presence })),
  );
  store.state.members.set(id, { items, status: 'ready' });
  store.touch(`members:${id}`, 'presence');
}

export function membersStatus(store, id, status) {
  const known = store.state.members.get(id) ?? { items: [] };
  store.state.members.set(id, { ...known, status });
  store.touch(`members:${id}`);
}

export function membersJoined(store, { conversation_id, participants }, rev) {
  met(
    store,
    participants.map(({ user }) => user),
  );
  counted(store, conversation_id, participants.length, rev);
  change(store, conversation_id, (items) => {
    const ids = new Set(participants.map(({ user }) => user.id));
    const joined = participants.map(({ user, role }) => ({
      user,
      role,
      joined_at: new Date().toISOString(),
      last_read_seq: null,
    }));
    return [...items.filter(({ user }) => !ids.has(user.id)), ...joined];
  });
}

export function memberLeft(store, { conversation_id, user_id }, rev) {
  counted(store, conversation_id, -1, rev);
  change(store, conversation_id, (items) => items.filter(({ user }) => user.id !== user_id));
}

export function memberChanged(store, { conversation_id, user_id, role }, rev) {
  change(store, conversation_id, (items) => items.map((item) => (item.user.id === user_id ? { ...item, role } : item)));
  const conversation = store.state.conversations.get(conversation_id);
  if (!conversation || rev <= conversation.seen) return;
  conversation.seen = rev;
  if (user_id !== store.state.me?.id) return;
  conversation.my = { ...conversation.my, role };
  store.touch('conversations', `room:${conversation_id}`);
}

function counted(store, id, difference, rev) {
  const conversation = store.state.conversations.get(id);
  if (!conversation || rev <= conversation.seen) return;
  conversation.seen = rev;
  conversation.member_count += difference;
  store.touch('conversations', `room:${id}`);
}

function change(store, id, changed) {
  const known = store.state.members.get(id);
  if (!known) return;
  store.state.members.set(id, { ...known, items: changed(known.items) });
  store.touch(`members:${id}`);
}
