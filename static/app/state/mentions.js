// Unread messages that mention the user.
// This file contains changes of `mentions`, and the number of unread mentions of a conversation. It must not contain
// how a mention looks in a text (lib/mentions.js).

/** Notes whether a new or edited message mentions this user. */
export function updateMention(store, { conversation_id, seq, sender_id, mentions = [], mentions_all = false }) {
  const { me, mentions: all } = store.state;
  const seqs = all.get(conversation_id) ?? new Set();
  const isMentioned = sender_id !== me?.id && (mentions_all || mentions.includes(me?.id));
  if (seqs.has(seq) === isMentioned) return;
  if (isMentioned) seqs.add(seq);
  else seqs.delete(seq);
  all.set(conversation_id, seqs);
  store.touch('mentions');
}

/** Forgets a mention, because its message was deleted or hidden. */
export function removeMention(store, { conversation_id, seq }) {
  if (store.state.mentions.get(conversation_id)?.delete(seq)) store.touch('mentions');
}

/** Returns the number of known mentions after the user's read mark. */
export function unreadMentions(state, { id, my }) {
  let count = 0;
  for (const seq of state.mentions.get(id) ?? []) if (seq > my.last_read_seq) count += 1;
  return count;
}
