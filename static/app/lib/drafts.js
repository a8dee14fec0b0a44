// Drafts of messages.
// This file contains one draft for each user and conversation, which is stored on the device. It must not contain
// messages that were sent; the SDK's outbox stores those.

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
    // With a full storage the draft does not survive a reload. The text being written stays in the text box.
  }
}

/** Removes all drafts of a user who signs out, because others may use the device. */
export function clearDrafts(userId) {
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(`${PREFIX}.${userId}.`)) localStorage.removeItem(key);
    }
  } catch {
    // Without storage there are no drafts.
  }
}
