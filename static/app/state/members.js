// The participants of conversations.
// This file contains changes of `members` and of `member_count`. It must not contain presence (people.js).

import { rememberUsers } from './people.js';

export function setMembers(store, id, items) {
  rememberUsers(
    store,
    items.map(({ user, presence }) => ({ ...user, presence })),
  );
  store.state.members.set(id, { items, status: 'ready' });
  store.touch(`members:${id}`, 'presence');
}

export function setMembersStatus(store, id, status) {
  const known = store.state.members.get(id) ?? { items: [] };
  store.state.members.set(id, { ...known, status });
  store.touch(`members:${id}`);
}

export function addMembers(store, { conversation_id, participants }, rev) {
  rememberUsers(
    store,
    participants.map(({ user }) => user),
  );
  changeMemberCount(store, conversation_id, participants.length, rev);
  changeMembers(store, conversation_id, (items) => {
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

export function removeMember(store, { conversation_id, user_id }, rev) {
  changeMemberCount(store, conversation_id, -1, rev);
  changeMembers(store, conversation_id, (items) => items.filter(({ user }) => user.id !== user_id));
}

export function setMemberRole(store, { conversation_id, user_id, role }, rev) {
  changeMembers(store, conversation_id, (items) =>
    items.map((item) => (item.user.id === user_id ? { ...item, role } : item)),
  );
  const conversation = store.state.conversations.get(conversation_id);
  if (!conversation || rev <= conversation.countedRev) return;
  conversation.countedRev = rev;
  if (user_id !== store.state.me?.id) return;
  conversation.my = { ...conversation.my, role };
  store.touch('conversations', `room:${conversation_id}`);
}

function changeMemberCount(store, id, difference, rev) {
  const conversation = store.state.conversations.get(id);
  if (!conversation || rev <= conversation.countedRev) return;
  conversation.countedRev = rev;
  conversation.member_count += difference;
  store.touch('conversations', `room:${id}`);
}

function changeMembers(store, id, update) {
  const known = store.state.members.get(id);
  if (!known) return;
  store.state.members.set(id, { ...known, items: update(known.items) });
  store.touch(`members:${id}`);
}
