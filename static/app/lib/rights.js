// What a role may do.
// This file contains the same permissions as the server's `domain/roles.rs`, so that the app offers only what the
// server allows. The server makes the decisions.

const RANK = { observer: 0, member: 1, admin: 2, owner: 3 };

const atLeast = (role, minRole) => RANK[role] >= RANK[minRole];

/** Whether the user may send messages, type, react, and edit own messages. */
export function mayWrite({ my, class: classInfo }) {
  return atLeast(my.role, 'member') && !classInfo?.archived && !my.blocked;
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

/** Whether the user may change name, description, picture and members. Only groups; a class is managed elsewhere. */
export function mayManage({ type, my }) {
  return type === 'group' && atLeast(my.role, 'admin');
}

export function mayRemove(conversation, role) {
  return mayManage(conversation) && RANK[role] < RANK[conversation.my.role];
}

/** Whether the user may become a plain member again. An admin may; an owner must make another member the owner. */
export function mayStepDown({ type, my }) {
  return type === 'group' && my.role === 'admin';
}

/** Returns the roles that the user may give to a participant, the highest first. `owner` transfers the ownership. */
export function assignableRoles(conversation, role) {
  if (!mayRemove(conversation, role)) return [];
  const ownRole = conversation.my.role;
  return ['owner', 'admin', 'member', 'observer'].filter(
    (newRole) => newRole !== role && (RANK[newRole] < RANK[ownRole] || ownRole === 'owner'),
  );
}
