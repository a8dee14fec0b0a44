// Rights, mentions and emoji: the pure functions that decide what the user can choose.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOneEmoji } from '../../static/app/lib/emoji.js';
import { mentionAtCursor, mentionCandidates } from '../../static/app/lib/mentions.js';
import * as rights from '../../static/app/lib/rights.js';
import { muteText } from '../../static/app/lib/time.js';

const ROLES = ['observer', 'member', 'admin', 'owner'];
const conversationAs = (role, type = 'group', more = {}) => ({
  type,
  class: null,
  my: { role, blocked: false },
  ...more,
});
const allowed = (may, type) => ROLES.filter((role) => may(conversationAs(role, type)));

test('only what the server allows is offered', () => {
  assert.deepEqual(allowed(rights.mayWrite), ['member', 'admin', 'owner']);
  assert.deepEqual(allowed(rights.mayDeleteOthers), ['admin', 'owner']);
  assert.deepEqual(allowed(rights.mayDeleteOthers, 'direct'), []);
  assert.deepEqual(allowed(rights.mayPin), ['admin', 'owner']);
  assert.deepEqual(allowed(rights.mayPin, 'direct'), ['member', 'admin', 'owner']);
  assert.deepEqual(allowed(rights.mayMentionAll), ['admin', 'owner']);
  assert.deepEqual(allowed(rights.mayManage), ['admin', 'owner']);
  assert.deepEqual(allowed(rights.mayManage, 'class'), []);
  assert.equal(rights.mayWrite(conversationAs('member', 'direct', { my: { role: 'member', blocked: true } })), false);
  assert.equal(rights.mayWrite(conversationAs('owner', 'class', { class: { archived: true } })), false);
});

test('a user can manage only lower roles, and only the owner can transfer the ownership', () => {
  for (const [actorRank, actor] of ROLES.entries())
    for (const [otherRank, other] of ROLES.entries()) {
      const above = actorRank >= 2 && actorRank > otherRank;
      assert.equal(rights.mayRemove(conversationAs(actor), other), above, `${actor} removes ${other}`);
      const expected = ROLES.filter((to, rank) => above && to !== other && (rank < actorRank || actor === 'owner'));
      assert.deepEqual(
        rights.assignableRoles(conversationAs(actor), other).sort(),
        expected.sort(),
        `${actor} gives ${other}`,
      );
    }
});

test('only an admin can become a member again', () => {
  assert.deepEqual(allowed(rights.mayStepDown), ['admin']);
  assert.deepEqual(allowed(rights.mayStepDown, 'class'), []);
});

test('names are offered while a mention is typed, not inside a word', () => {
  assert.deepEqual(mentionAtCursor('hello @Be', 9), { start: 6, query: 'be' });
  assert.deepEqual(mentionAtCursor('@', 1), { start: 0, query: '' });
  assert.deepEqual(mentionAtCursor('你好＠be', 5), { start: 2, query: 'be' });
  assert.equal(mentionAtCursor('mail@be', 7), null);
  assert.equal(mentionAtCursor('https://a.example/@be', 21), null);
  assert.equal(mentionAtCursor('@be there', 9), null);
  const users = [
    { id: '1', username: 'zoe', display_name: 'Ben Okafor' },
    { id: '2', username: 'ben', display_name: 'Someone' },
    { id: '3', username: 'x', display_name: 'Big Ben' },
    { id: '4', username: 'cam', display_name: 'Cam' },
  ];
  assert.deepEqual(
    mentionCandidates(users, 'be').map(({ id }) => id),
    ['2', '1', '3'],
  );
  const all = { id: 'all', username: 'all', display_name: 'Everybody here' };
  assert.equal(mentionCandidates([all, ...users], '').at(-1).id, 'all');
});

test('one emoji counts as one, even if it consists of several characters', () => {
  for (const emoji of ['👍', '❤️', '🇫🇷', '👩‍👩‍👧‍👦', '👍🏽', '1️⃣']) assert.ok(isOneEmoji(emoji), emoji);
  for (const text of ['', 'a', '👍👍', '1', ':)', 'a👍', '👍 ', null]) assert.ok(!isOneEmoji(text), String(text));
});

test('the text of a mute contains its end', () => {
  const now = new Date('2026-01-01T12:00:00');
  assert.match(muteText('2026-01-01T20:30:00', now), /^Muted until .*30.*\.$/);
  assert.match(muteText('2026-01-05T20:30:00', now), /^Muted until .*5/);
  assert.equal(muteText('9999-12-31T23:59:59.999Z', now), 'Muted for good.');
});
