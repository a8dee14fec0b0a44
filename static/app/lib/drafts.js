// Words not sent yet.
// Lives here: one draft per user and conversation, kept on the device. May not live here: the outbox; what was sent is
// the SDK's to keep.

const PREFIX = 'greenroom.draft';

export function readDraft(userId, conversationId) {
  try {
    return localStorage.getItem(`${PREFIX}.${userId}.${conversationId}`) ?? '';
  } catch {
    return '';
  }
}

export function writeDraft(userId, conversationId, text) {
  const key = `${PREFIX}.${userId}.${conversationId}`;
  try {
    if (text.trim() === '') localStorage.removeItem(key);
    else localStorage.setItem(key, text);
  } catch {
    // A full storage costs the draft of a reload, never the message being written.
  }
}

/** Signing out of a shared computer leaves no half-written words behind. */
export function forgetDrafts(userId) {
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(`${PREFIX}.${userId}.`)) localStorage.removeItem(key);
    }
  } catch {
    // Nothing was kept then.
  }
}
