// What a role may do.
// Lives here: the same permission table as the server's `domain/roles.rs`, for showing only what would be allowed. May not
// live here: any decision that counts; the server makes those.

const RANK = { observer: 0, member: 1, admin: 2, owner: 3 };

const atLeast = (role, least) => RANK[role] >= RANK[least];

/** Sending, typing, reacting, editing one's own. */
export function mayWrite({ my, class: kept }) {
  return atLeast(my.role, 'member') && !kept?.archived && !my.blocked;
}

export function mayDeleteOthers({ type, my }) {
  return type !== 'direct' && atLeast(my.role, 'admin');
}

export function mayPin({ type, my }) {
  return atLeast(my.role, type === 'direct' ? 'member' : 'admin');
}

export function mayMentionAll({ type, my }) {
  return type !== 'direct' && atLeast(my.role, 'admin');
}

/** Name, description, picture, and who is in it: of a group only; a class is managed as a class. */
export function mayManage({ type, my }) {
  return type === 'group' && atLeast(my.role, 'admin');
}

export function mayRemove(conversation, role) {
  return mayManage(conversation) && RANK[role] < RANK[conversation.my.role];
}

/** Whether one may be a plain member again: an admin may; an owner gives the role to somebody else. */
export function mayStepDown({ type, my }) {
  return type === 'group' && my.role === 'admin';
}

/** The roles that a participant may be given, the highest first. `owner` passes one's own ownership on. */
export function rolesToGive(conversation, role) {
  if (!mayRemove(conversation, role)) return [];
  const mine = conversation.my.role;
  return ['owner', 'admin', 'member', 'observer'].filter(
    (to) => to !== role && (RANK[to] < RANK[mine] || mine === 'owner'),
  );
}
