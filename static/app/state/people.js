// Users: their profiles, their presence, and whether they type.
// This file contains changes of `people`, `presence` and `typing`. It must not contain membership (members.js).

/** An indicator ends after this time if `typing.stop` is lost; the server ends it after 10 s. In milliseconds. */
const TYPING_TIMEOUT_MS = 11_000;

const timers = new Map();

/** Remembers the profiles of users, and their presence if it is there. */
export function rememberUsers(store, users) {
  const { people, presence } = store.state;
  for (const user of users) {
    if (!user) continue;
    people.set(user.id, {
      id: user.id,
      username: user.username,
      display_name: user.display_name,
      avatar_url: user.avatar_url,
    });
    if (user.presence)
      presence.set(user.id, {
        status: user.presence,
        last_seen_at: user.last_seen_at ?? presence.get(user.id)?.last_seen_at ?? null,
      });
  }
}

export function setPresence(store, { user_id, status, last_seen_at }) {
  const old = store.state.presence.get(user_id);
  store.state.presence.set(user_id, { status, last_seen_at: last_seen_at ?? old?.last_seen_at ?? null });
  store.touch('presence');
}

/** @param {{[userId: string]: string | {status: string, last_seen_at?: string}}} users */
export function setPresences(store, users) {
  for (const [user_id, value] of Object.entries(users)) {
    setPresence(store, { user_id, ...(typeof value === 'string' ? { status: value } : value) });
  }
}

/** Applies a changed profile everywhere the user is shown. */
export function updateProfile(store, { user }) {
  rememberUsers(store, [user]);
  for (const conversation of store.state.conversations.values()) {
    if (conversation.peer?.id === user.id) conversation.peer = { ...conversation.peer, ...user };
  }
  if (store.state.me?.id === user.id) store.state.me = { ...store.state.me, ...user };
  store.touch('me', 'conversations');
}

export function startTyping(store, { conversation_id, user_id, username, display_name }) {
  if (user_id === store.state.me?.id) return;
  const typing = store.state.typing.get(conversation_id) ?? new Map();
  store.state.typing.set(conversation_id, typing);
  typing.set(user_id, display_name || username);
  const key = `${conversation_id} ${user_id}`;
  clearTimeout(timers.get(key));
  timers.set(
    key,
    setTimeout(() => stopTyping(store, { conversation_id, user_id }), TYPING_TIMEOUT_MS),
  );
  store.touch(`typing:${conversation_id}`);
}

export function stopTyping(store, { conversation_id, user_id }) {
  const key = `${conversation_id} ${user_id}`;
  clearTimeout(timers.get(key));
  timers.delete(key);
  if (store.state.typing.get(conversation_id)?.delete(user_id)) store.touch(`typing:${conversation_id}`);
}

/** Ends all typing indicators, because without a connection they cannot be up to date. */
export function clearTyping(store) {
  for (const [id, typing] of store.state.typing) {
    if (typing.size === 0) continue;
    typing.clear();
    store.touch(`typing:${id}`);
  }
}
