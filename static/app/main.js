// Where the app begins.
// Lives here: putting client, store, router and views together, and what follows from the client's events.
// May not live here: logic; it should be possible to read this page in a minute.

import { Greenroom } from '../sdk/greenroom.js';
import { createActions } from './actions/index.js';
import { dispatch, messageArrived } from './dispatch.js';
import { watchMutes } from './lib/expiry.js';
import { watchTitle } from './lib/title.js';
import { Router, to } from './router.js';
import { conversationGone, hiddenCounted, listLoaded, readsKnown } from './state/conversations.js';
import { met, nobodyTypes } from './state/people.js';
import { Store } from './store.js';
import { mountAuth } from './views/auth.js';
import { mountShell } from './views/shell.js';

const client = new Greenroom();
const store = new Store();
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

function enter() {
  store.state.phase = 'signed-in';
  store.touch('phase', 'me');
  if (['sign-in', 'sign-up'].includes(router.route.name)) router.go(to.home(), { replace: true });
  show(mountShell);
  client.start();
}

function leave(code) {
  store.clear();
  store.state.phase = 'signed-out';
  store.touch('phase');
  router.go(to.signIn(), { replace: true });
  show((element, parts) => mountAuth(element, { ...parts, notice: code }));
}

function adoptUser(user) {
  store.state.me = user;
  met(store, [user]);
  store.touch('me');
}

client.on('signed-in', (user) => {
  adoptUser(user);
  enter();
});
client.on('user', adoptUser);
client.on('signed-out', leave);

client.on('connection', (value) => {
  store.state.connection = { ...value, level: false };
  if (value.state !== 'open') nobodyTypes(store);
  store.touch('connection');
});
client.on('ready', () => {
  store.state.connection.level = true;
  store.touch('connection');
  retryRooms();
  actions.refreshPresence();
  actions.loadBlocks().catch(() => {});
});

client.on('snapshot', (snapshot) => {
  listLoaded(store, snapshot);
  for (const { id, unread_count, last_seq } of snapshot.conversations)
    if (unread_count > 0) actions.received(id, last_seq);
  refreshRooms();
  actions.findMentions();
});
client.on('reload', (value) => actions.reloaded(value));
client.on('gone', (value) => conversationGone(store, value));
client.on('reads', (reads) => readsKnown(store, reads));
client.on('sent', ({ message }) => messageArrived(store, message, null));
client.on('outbox', (id) => {
  store.state.outbox.set(id, client.outbox.of(id));
  store.touch(`outbox:${id}`);
});
client.on('event', (frame) => {
  const id = frame.payload?.conversation_id;
  // Something of a conversation that the list did not bring: it moved between two pages of it.
  if (frame.stream === 'conversation' && id && !store.state.conversations.has(id)) client.sync.reload(id);
  const before = store.state.conversations.get(id)?.my;
  dispatch(store, frame);
  if (frame.type === 'conversation.created' && needsPreview(frame.payload.conversation))
    actions.loadPreview(frame.payload.conversation.id);
  if (frame.type === 'message.hidden' && !hiddenCounted(store, frame.payload)) actions.settleUnread(id);
  if (frame.type === 'conversation.settings') settingsCame(id, before, frame.payload.my);
  if (frame.type === 'message.new' && frame.payload.message.sender_id !== store.state.me?.id)
    actions.received(id, frame.payload.message.seq);
});

const needsPreview = ({ last_message, last_seq }) => !last_message && last_seq > 0;

function settingsCame(id, before, my) {
  if (!before) return;
  if (before.archived || my.archived) actions.settleArchived(id);
  if (before.blocked === my.blocked) return;
  actions.loadBlocks().catch(() => {});
  if (!my.blocked) actions.refreshPresence();
}

/** A whole new list means that what the rooms hold may be of another time. */
function refreshRooms() {
  for (const [id, room] of store.state.rooms) if (room.status === 'ready') client.sync.reload(id);
}

function retryRooms() {
  for (const [id, room] of store.state.rooms) {
    if (room.status === 'error') actions.openRoom(id);
    if (room.older === 'error') actions.loadOlder(id);
    if (room.newer === 'error') actions.loadNewer(id);
  }
}

router.onChange(({ name }) => {
  if (store.state.phase === 'signed-in' && ['sign-in', 'sign-up'].includes(name))
    router.go(to.home(), { replace: true });
});

watchTitle(store);
watchMutes(store, ({ id, my }) => my.archived && actions.settleArchived(id));

if (client.auth.signedIn) {
  store.state.me = { id: client.auth.userId, username: '', display_name: '' };
  enter();
} else {
  store.state.phase = 'signed-out';
  show(mountAuth);
}
