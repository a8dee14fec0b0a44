// Messages that mention the user and are not read.
// Lives here: changes of `mentions`, and which conversations are to be marked. May not live here: how a mention looks in
// a text (lib/mentions.js).

/** A message came or was edited: does it mention this user? */
export function mentionNoted(store, { conversation_id, seq, sender_id, mentions = [], mentions_all = false }) {
  const { me, mentions: all } = store.state;
  const known = all.get(conversation_id) ?? new Set();
  const meant = sender_id !== me?.id && (mentions_all || mentions.includes(me?.id));
  if (known.has(seq) === meant) return;
  if (meant) known.add(seq);
  else known.delete(seq);
  all.set(conversation_id, known);
  store.touch('mentions');
}

/** A deleted message mentions nobody, a hidden one not this user. */
export function mentionGone(store, { conversation_id, seq }) {
  if (store.state.mentions.get(conversation_id)?.delete(seq)) store.touch('mentions');
}

/** Mentions after the user's read mark, as far as they are known here. */
export function unreadMentions(state, { id, my }) {
  let count = 0;
  for (const seq of state.mentions.get(id) ?? []) if (seq > my.last_read_seq) count += 1;
  return count;
}
