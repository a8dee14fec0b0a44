//! Every limit of the house that is not a setting, in one place (SPEC 14).

use std::num::NonZeroU32;
use std::time::Duration;

/// Characters (Unicode scalar values) in a message, after trimming.
pub const CONTENT_CHARS: usize = 10_000;
/// Characters of a message shown in previews and quotes.
pub const PREVIEW_CHARS: usize = 100;
/// Characters in a client's `temp_id`.
pub const TEMP_ID_CHARS: usize = 64;
/// Bytes in a message's `data`.
pub const DATA_BYTES: usize = 4096;
/// Names that one message can mention, each at its first place; later ones are plain text.
pub const MENTIONS: usize = 100;
/// How long after an `@all` another one in the same conversation is plain text.
pub const MENTION_ALL_PAUSE: Duration = Duration::from_mins(1);
/// Bytes in an emoji.
pub const EMOJI_BYTES: usize = 64;
/// Different emojis with which people can react to one message.
pub const EMOJIS_PER_MESSAGE: i64 = 50;
/// Users listed with one emoji of a message, and in each list of its receipts.
pub const REACTORS: i64 = 1000;
/// Attachments in one message.
pub const ATTACHMENTS: usize = 10;
/// Characters in a conversation's or class's name, and in a display name.
pub const NAME_CHARS: usize = 255;
/// Marks on one letter of such a name.
pub const MARKS_ON_A_LETTER: usize = 4;
/// Characters in a description.
pub const DESCRIPTION_CHARS: usize = 2000;
/// Characters in a URL that a client gives.
pub const URL_CHARS: usize = 2048;
/// Seconds for which a conversation can be muted, beside for good: ten years.
pub const MUTE_SECONDS: i64 = 10 * 365 * 24 * 60 * 60;
/// Members of a group.
pub const GROUP_MEMBERS: usize = 1000;
/// Characters of an `Origin` or `Host` that are shown, in the log and in a refusal.
pub const ORIGIN_CHARS: usize = 255;
/// Refused origins, each with the host it asked for, that the operator is told of before the log is silent about more.
pub const ORIGINS_TOLD: usize = 64;
/// How long it is silent.
pub const ORIGINS_TOLD_ANEW: Duration = Duration::from_hours(1);
/// Bytes of those who joined that one event names, one of them aside: what joins at once is told in several events, so that
/// none is more than a client may leave unread.
pub const JOINED_BYTES: usize = 32 * 1024;
/// Bytes of any event at most: a client may leave four times as much unread.
pub const EVENT_BYTES: usize = 256 * 1024;
/// Bytes of one WebSocket frame, and of one message put together from fragments.
pub const FRAME_BYTES: usize = 64 * 1024;
/// Bytes of a JSON body over REST.
pub const BODY_BYTES: usize = 256 * 1024;
/// Bytes of a body where nobody has shown a token.
pub const BODY_BYTES_OF_STRANGERS: usize = 8 * 1024;
/// Live sessions of one user; the oldest goes when another opens.
pub const SESSIONS_PER_USER: usize = 20;
/// Conversations named in one `auth.success`.
pub const CONVERSATIONS_IN_AUTH: usize = 1000;
/// Conversations or users named in one command.
pub const IDS_IN_COMMAND: usize = 1000;
/// Conversations named in all parts of one `sync`.
pub const CONVERSATIONS_IN_SYNC: usize = 10_000;
/// Users in one presence question.
pub const PRESENCE_USERS: usize = 100;
/// Users whose presence one session watches.
pub const PRESENCE_WATCHED: usize = 1000;
/// Members above which a conversation has no message status and no delivered marks.
pub const STATUS_MEMBERS: i64 = 100;
/// Senders named in a conversation's statistics.
pub const TOP_SENDERS: u64 = 50;
/// Participants in a conversation's detail.
pub const DETAIL_MEMBERS: u64 = 100;
/// Messages in a page by default; at most 100.
pub const MESSAGE_PAGE: u64 = 50;
/// Items in a page of any other collection by default.
pub const PAGE: u64 = 20;
/// Items in any page at most.
pub const PAGE_MAX: u64 = 100;
/// Rows of the log that one transaction rewrites when a message is deleted, of those that show it and of those that quote
/// it.
pub const REWRITTEN_ROWS: usize = 1024;
/// User streams that one transaction may lock beside the class's and the conversation's.
pub const USER_STREAMS: usize = 1000;

/// How long an access token is good for.
pub const ACCESS_TOKEN: Duration = Duration::from_mins(15);
/// How long a refresh token is good for.
pub const REFRESH_TOKEN: Duration = Duration::from_hours(30 * 24);
/// How long a spent refresh token still yields the successor it was spent for.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);
/// How long a WebSocket ticket is good for.
pub const TICKET: Duration = Duration::from_secs(30);
/// How long a file token is good for; within one clock hour a user is given the same one.
pub const FILE_TOKEN: Duration = Duration::from_hours(2);

/// Sockets of one address (an IPv6 /64 counts as one) that have not said whose they are. One that brings its token in the
/// handshake does not count.
pub const STRANGERS_PER_ADDRESS: usize = 128;
/// The same on the whole node.
pub const STRANGERS: usize = 4096;
/// Bytes of the head of a request: its line and its headers.
pub const HEAD_BYTES: usize = 16 * 1024;
/// A request whose head has not come within this is answered 408, and its connection closed.
pub const HEAD: Duration = Duration::from_secs(10);
/// A body that has not come within this is given up, so that nobody holds a connection by the byte.
pub const BODY: Duration = Duration::from_secs(30);
/// A connection on which nobody has called for this long is closed. Proxies that keep connections let go of them earlier.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a connection waits for its client to close as well. A browser tells its page that a socket was closed only when
/// the connection has ended, so this delays whoever is to come back.
pub const FAREWELL: Duration = Duration::from_secs(1);
/// Descriptors that connections leave to the database, files and the rest.
pub const DESCRIPTORS_KEPT: u64 = 128;
/// Fewer descriptors than this are too few for a server, and the start says so.
pub const DESCRIPTORS_WANTED: u64 = 8192;
/// Connections of one node, however many descriptors it may have.
pub const CONNECTIONS: usize = 100_000;

/// Wrong passwords a minute for one account from one address.
pub const WRONG_PASSWORDS: usize = 5;
/// Wrong passwords an hour for one account from anywhere, after which it is tried only from addresses where it is known.
pub const WRONG_PASSWORDS_HOUR: usize = 100;
/// An account is known at an address for so long after it signed in or registered there.
pub const SIGNED_IN_FROM: Duration = Duration::from_hours(30 * 24);
/// Ids and names of accounts known at one address that are looked at, the oldest accounts first.
pub const KNOWN_NAMES: usize = 30_000;
/// Accounts known at an address that are read at a time.
pub const KNOWN_PAGE: u64 = 500;
/// Registrations of one address in a burst.
pub const REGISTRATION_BURST: NonZeroU32 = NonZeroU32::new(60).expect("60 is not 0");
/// Passwords that wait for a core to be hashed on; beyond it one is `busy` at once.
pub const HASHING_QUEUE: usize = 256;

/// A connection that has not authenticated within this is closed.
pub const AUTH_DEADLINE: Duration = Duration::from_secs(10);
/// For so long after `auth.success` a session that opened with `subscribe=none` waits for a first command, before what
/// happens in its user's own stream goes out.
pub const FIRST_SYNC: Duration = Duration::from_secs(3);
/// The server pings a session this often.
pub const HEARTBEAT: Duration = Duration::from_secs(30);
/// A session silent for this long is closed (4408).
pub const SILENCE: Duration = Duration::from_secs(90);
/// Bytes handed to a socket between two pings that measure what the client has read: at a kilobyte a second a client
/// answers one before it counts as [`STALLED`].
pub const PING_EVERY_BYTES: usize = 16 * 1024;
/// Bytes handed to a socket and not known to be read, from which on a replay waits.
pub const REPLAY_BYTES: usize = 64 * 1024;
/// Bytes handed to a socket and not known to be read, above which nothing more is handed to it, and it is closed (4410). A
/// single frame, however large, does not close it.
pub const UNREAD_BYTES: usize = 1024 * 1024;
/// Bytes of one commit in one stream that go out at once; of more, those who follow get page after page from the log.
pub const LIVE_BYTES: usize = UNREAD_BYTES / 2;
/// A session that acknowledges nothing for this long, with something outstanding, is closed (4410).
pub const STALLED: Duration = Duration::from_secs(20);
/// Bytes that wait in the kernel for a client to have room, above which the kernel takes no more.
pub const UNSENT_BYTES: u32 = 1024;
/// Typing ends by itself after this.
pub const TYPING: Duration = Duration::from_secs(10);
/// One `typing.start` of a session in a conversation within this; more are acknowledged and not passed on.
pub const TYPING_EVERY: Duration = Duration::from_secs(2);
/// A user is offline only after this long without a session.
pub const OFFLINE_GRACE: Duration = Duration::from_secs(5);
/// After so long a call that is too much is refused.
pub const REFUSED_AFTER: Duration = Duration::from_millis(100);
/// Refusals by a limit within [`FLOOD_WINDOW`] that close a session (4429).
pub const FLOOD_REFUSALS: usize = 100;
/// The window of [`FLOOD_REFUSALS`].
pub const FLOOD_WINDOW: Duration = Duration::from_secs(10);

/// Sends in one group commit.
pub const BATCH: usize = 256;
/// Sends waiting for one writer; beyond it a send is `unavailable` at once.
pub const WRITER_QUEUE: usize = 4096;
/// A transaction that has not ended within this is given up and its connection dropped.
pub const TRANSACTION: Duration = Duration::from_secs(6);
/// Users that a search of users looks at.
pub const SEARCH_CANDIDATES: u64 = 1000;
/// Transactions of one user that run or wait; as many as calls and commands of a user can be under way.
pub const WRITES_PER_USER: usize = 48;
/// The same of one login where only that is known: beyond a burst of handshakes with tickets, each of which is one.
pub const WRITES_PER_LOGIN: usize = 64;
/// Transactions that run or wait of all who come from one network and are nobody yet.
pub const WRITES_PER_NETWORK: usize = 4096;
/// Rows that a transaction of a few changes touches.
pub const FEW_ROWS: usize = 4;
/// Rows that it touches for each user it puts into a conversation: the participant, the user's revision, the event.
pub const ROWS_PER_MEMBER: usize = 3;
/// Rows above which a transaction is large: such run one at a time and leave the writer to the others in between.
pub const LARGE_ROWS: u64 = 300;
/// For how long at most after a large transaction no other one begins.
pub const LARGE_PAUSE: Duration = Duration::from_millis(250);
/// How often a large transaction gives way to sends before it runs to its end.
pub const WAYS_GIVEN: usize = 8;
/// Bytes of an event that cost as much as another row.
pub const ROW_BYTES: usize = 1024;
/// Heavy reads of one user that run or wait.
pub const HEAVY_PER_USER: usize = 4;
/// A statement of a heavy read is given up after this.
pub const HEAVY_STATEMENT: Duration = Duration::from_secs(2);
/// Streams that one sync follows and waits for at one time.
pub const FOLLOWED_AT_ONCE: usize = 256;
/// Streams that one sync replays at one time: a page of each is together less than a client may leave unread.
pub const REPLAYS_AT_ONCE: usize = 4;
/// Events of one page of a replay.
pub const REPLAY_PAGE: u64 = 256;
/// Bytes of recent events that the rooms of a node keep together, for who is a little behind.
pub const RINGS_BYTES: usize = 64 * 1024 * 1024;
/// A round of ageing of a room's recent events: they stay for one to two of these.
pub const RING_ROUND: Duration = Duration::from_mins(1);
/// How long a hole in a room's revisions may stand before it is read from the log.
pub const HOLE: Duration = Duration::from_millis(20);
/// How often the log is tailed for what delivery missed.
pub const CATCH_UP: Duration = Duration::from_secs(2);

/// Calls of one user in a burst, as a multiple of those of a second.
pub const CALLS_BURST: u32 = 2;
/// Sends of one user in a burst, as a multiple of those of a second.
pub const SENDS_BURST: u32 = 3;
/// Commands other than sends of one user: a second, and in a burst.
pub const COMMANDS_PER_SECOND: (u32, u32) = (50, 200);
/// Handshakes of one user: a second, and in a burst.
pub const HANDSHAKES_PER_SECOND: (u32, u32) = (10, 50);
/// REST calls of one user that run at one time; one more is `busy`.
pub const CALLS_RUNNING: usize = 32;
/// Commands of one user that run at one time, over all sessions; others wait.
pub const COMMANDS_RUNNING: usize = 16;
/// Commands of one session that run at one time; others wait.
pub const COMMANDS_RUNNING_PER_SESSION: usize = 8;
/// Commands of one session that wait, for whatever; one more is `busy`.
pub const COMMANDS_WAITING: usize = 256;
/// Bytes of the frames of one connection that wait until it is known whose it is.
pub const BYTES_WAITING: usize = 1024 * 1024;
/// Messages in the mailbox of a session.
pub const SESSION_MAILBOX: usize = 1024;
