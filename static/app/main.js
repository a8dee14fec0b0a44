// The start of the app.
// This file connects client, store, router and views, and handles the events of the client. It must not contain logic,
// so that it can be read in a minute.

import { Greenroom } from '../sdk/greenroom.js';
import { createActions } from './actions/index.js';
import { dispatch, applyMessage } from './dispatch.js';
import { beforeNextFrame } from './lib/frame.js';
import { watchMutes } from './lib/mute-end.js';
import { showUnreadInTitle } from './lib/title.js';
import { Router, to } from './router.js';
import { removeConversation, recountUnread, setConversations, moveReadMarks } from './state/conversations.js';
import { rememberUsers, clearTyping } from './state/people.js';
import { Store } from './store.js';
import { mountAuth } from './views/auth.js';
import { mountShell } from './views/shell.js';

const client = new Greenroom();
const store = new Store({ schedule: beforeNextFrame });
const router = new Router();
const actions = createActions({ client, store, router });
const root = document.getElementById('app');
const app = { client, store, router, actions };

let unmount = () => {};

function show(mount) {
  unmount();
  root.replaceChildren();
  unmount = mount(root, app);
}

function showApp() {
  store.state.phase = 'signed-in';
  store.touch('phase', 'me');
  if (['sign-in', 'sign-up'].includes(router.route.name)) router.go(to.home(), { replace: true });
  show(mountShell);
  client.start();
}

function showSignIn(code) {
  store.clear();
  store.state.phase = 'signed-out';
  store.touch('phase');
  router.go(to.signIn(), { replace: true });
  show((element, parts) => mountAuth(element, { ...parts, notice: code }));
}

function setUser(user) {
  store.state.me = user;
  rememberUsers(store, [user]);
  store.touch('me');
}

client.on('signed-in', (user) => {
  setUser(user);
  showApp();
});
client.on('user', setUser);
client.on('signed-out', showSignIn);

client.on('connection', (value) => {
  store.state.connection = { ...value, upToDate: false };
  if (value.state !== 'open') clearTyping(store);
  store.touch('connection');
});
client.on('ready', () => {
  store.state.connection.upToDate = true;
  store.touch('connection');
  retryRooms();
  actions.refreshPresence();
  actions.loadBlocks().catch(() => {});
});

client.on('snapshot', (snapshot) => {
  setConversations(store, snapshot);
  for (const { id, unread_count, last_seq } of snapshot.conversations)
    if (unread_count > 0) actions.markDelivered(id, last_seq);
  refreshRooms();
  actions.findMentions();
});
client.on('reload', (value) => actions.replaceConversation(value));
client.on('gone', (value) => removeConversation(store, value));
client.on('reads', (reads) => moveReadMarks(store, reads));
client.on('sent', ({ message }) => applyMessage(store, message, null));
client.on('outbox', (id) => {
  store.state.outbox.set(id, client.outbox.of(id));
  store.touch(`outbox:${id}`);
});
client.on('event', (frame) => {
  const id = frame.payload?.conversation_id;
  // The conversation is not known, because it moved between two pages of the list. Load it.
  if (frame.stream === 'conversation' && id && !store.state.conversations.has(id)) client.sync.reload(id);
  const before = store.state.conversations.get(id)?.my;
  dispatch(store, frame);
  if (frame.type === 'conversation.created' && needsPreview(frame.payload.conversation))
    actions.loadPreview(frame.payload.conversation.id);
  if (frame.type === 'message.hidden' && !recountUnread(store, frame.payload)) actions.refreshUnread(id);
  if (frame.type === 'conversation.settings') conversationSettingsChanged(id, before, frame.payload.my);
  if (frame.type === 'message.new' && frame.payload.message.sender_id !== store.state.me?.id)
    actions.markDelivered(id, frame.payload.message.seq);
});

const needsPreview = ({ last_message, last_seq }) => !last_message && last_seq > 0;

function conversationSettingsChanged(id, before, my) {
  if (!before) return;
  if (before.archived || my.archived) actions.refreshArchived(id);
  if (before.blocked === my.blocked) return;
  actions.loadBlocks().catch(() => {});
  if (!my.blocked) actions.refreshPresence();
}

/** Reloads all rooms after a new list, because their content may belong to another history. */
function refreshRooms() {
  for (const [id, room] of store.state.rooms) if (room.status === 'ready') client.sync.reload(id);
}

/** Repeats failed loads. */
function retryRooms() {
  for (const [id, room] of store.state.rooms) {
    if (room.status === 'error') actions.openRoom(id);
    if (room.olderStatus === 'error') actions.loadOlder(id);
    if (room.newerStatus === 'error') actions.loadNewer(id);
  }
}

router.onChange(({ name }) => {
  if (store.state.phase === 'signed-in' && ['sign-in', 'sign-up'].includes(name))
    router.go(to.home(), { replace: true });
});

showUnreadInTitle(store);
watchMutes(store, ({ id, my }) => my.archived && actions.refreshArchived(id));

if (client.auth.signedIn) {
  store.state.me = { id: client.auth.userId, username: '', display_name: '' };
  showApp();
} else {
  store.state.phase = 'signed-out';
  show(mountAuth);
}
