// People: who they are, whether they are there, whether they type.
// Lives here: changes of `people`, `presence` and `typing`. May not live here: membership (members.js).

/** The server ends an indicator after 10 s; a lost `typing.stop` must not leave it standing. In milliseconds. */
const TYPING_ENDS = 11_000;

const timers = new Map();

/** Notes what is known of users: briefs, or whole users with their presence. */
export function met(store, users) {
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

export function presenceChanged(store, { user_id, status, last_seen_at }) {
  const known = store.state.presence.get(user_id);
  store.state.presence.set(user_id, { status, last_seen_at: last_seen_at ?? known?.last_seen_at ?? null });
  store.touch('presence');
}

/** @param {{[userId: string]: string | {status: string, last_seen_at?: string}}} users */
export function presenceKnown(store, users) {
  for (const [user_id, value] of Object.entries(users)) {
    presenceChanged(store, { user_id, ...(typeof value === 'string' ? { status: value } : value) });
  }
}

export function profileChanged(store, { user }) {
  met(store, [user]);
  for (const conversation of store.state.conversations.values()) {
    if (conversation.peer?.id === user.id) conversation.peer = { ...conversation.peer, ...user };
  }
  if (store.state.me?.id === user.id) store.state.me = { ...store.state.me, ...user };
  store.touch('me', 'conversations');
}

export function typingStarted(store, { conversation_id, user_id, username, display_name }) {
  if (user_id === store.state.me?.id) return;
  const typing = store.state.typing.get(conversation_id) ?? new Map();
  store.state.typing.set(conversation_id, typing);
  typing.set(user_id, display_name || username);
  const key = `${conversation_id} ${user_id}`;
  clearTimeout(timers.get(key));
  timers.set(
    key,
    setTimeout(() => typingStopped(store, { conversation_id, user_id }), TYPING_ENDS),
  );
  store.touch(`typing:${conversation_id}`);
}

export function typingStopped(store, { conversation_id, user_id }) {
  const key = `${conversation_id} ${user_id}`;
  clearTimeout(timers.get(key));
  timers.delete(key);
  if (store.state.typing.get(conversation_id)?.delete(user_id)) store.touch(`typing:${conversation_id}`);
}

/** Without a connection nobody's indicator can be believed. */
export function nobodyTypes(store) {
  for (const [id, typing] of store.state.typing) {
    if (typing.size === 0) continue;
    typing.clear();
    store.touch(`typing:${id}`);
  }
}
