//! Defines every limit of the server that is not a setting, and the error texts that state a limit. Limits on rates and
//! on running work are per node. `docs/limits.md` lists the answers beyond them.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The greatest length of a message after trimming, in Unicode scalar values.
pub const CONTENT_CHARS: usize = 10_000;
/// The length of a message in previews and quotes, in Unicode scalar values.
pub const PREVIEW_CHARS: usize = 100;
/// The greatest length of a client's `temp_id`.
pub const TEMP_ID_CHARS: usize = 64;
/// The greatest length of a client's own id of a command, if it is a text.
pub const FRAME_ID_CHARS: usize = 64;
/// The greatest size of the `data` of a message.
pub const DATA_BYTES: usize = 4096;
/// The number of different names that one message can mention. Later names are plain text.
pub const MENTIONS_PER_MESSAGE: usize = 100;
/// The time after an `@all` during which another `@all` in the same conversation is plain text.
pub const MENTION_ALL_PAUSE: Duration = Duration::from_mins(1);
/// The greatest size of an emoji.
pub const EMOJI_BYTES: usize = 64;
/// The number of different emojis in the reactions to one message.
pub const EMOJIS_PER_MESSAGE: i64 = 50;
/// The number of users listed for one emoji of a message, and in each list of its receipts.
pub const LISTED_USERS: i64 = 1000;
/// The number of attachments of one message.
pub const ATTACHMENTS_PER_MESSAGE: usize = 10;
/// The greatest length of the name of a conversation or class, and of a display name.
pub const NAME_CHARS: usize = 255;
/// The length of a username. Usernames are ASCII, so this is also their length in bytes.
pub const USERNAME_CHARS: RangeInclusive<usize> = 3..=32;
/// The length of a new password after the preparation of RFC 8265.
pub const PASSWORD_CHARS: RangeInclusive<usize> = 8..=128;
/// The greatest size of an e-mail address.
pub const EMAIL_BYTES: usize = 254;
/// The greatest size of the part of an e-mail address before the `@`.
pub const EMAIL_LOCAL_BYTES: usize = 64;
/// The greatest length of a language tag.
pub const LOCALE_CHARS: usize = 35;
/// The length at which the name of a device, from its `User-Agent`, is cut.
pub const DEVICE_CHARS: usize = 255;
/// The greatest size of a reference to a user: an id, a username, or `ext:` and the id of the host application.
pub const USER_REF_BYTES: usize = 256;
/// The number of combining marks on one letter of a name.
pub const COMBINING_MARKS_PER_LETTER: usize = 4;
/// The greatest length of a description.
pub const DESCRIPTION_CHARS: usize = 2000;
/// The greatest length of a URL from a client.
pub const URL_CHARS: usize = 2048;
/// The longest time for which a conversation can be muted, ten years. A conversation can also be muted without an end.
pub const MUTE_SECONDS: i64 = 10 * 365 * 24 * 60 * 60;
/// The number of members of a group.
pub const GROUP_MEMBERS: usize = 1000;
/// The length at which an `Origin` or `Host` header is cut in the log and in error messages.
pub const ORIGIN_CHARS: usize = 255;
/// The number of refused origins, each with the requested host, that are logged before the log pauses.
pub const LOGGED_ORIGINS: usize = 64;
/// The time for which no further refused origin is logged.
pub const ORIGIN_LOG_PAUSE: Duration = Duration::from_hours(1);
/// The size of the list of new members in one event, unless a single member is larger. More members are listed in
/// several events, so that no event is larger than what a client may leave unread.
pub const JOINED_BYTES: usize = 32 * 1024;
/// The greatest size of any event. A client may leave four times as much unread.
pub const EVENT_BYTES: usize = 256 * 1024;
/// The greatest size of a WebSocket frame, and of a message that consists of fragments.
pub const FRAME_BYTES: usize = 64 * 1024;
/// The greatest size of a JSON body over REST.
pub const BODY_BYTES: usize = 256 * 1024;
/// The greatest size of a body in a request without a token.
pub const UNAUTHENTICATED_BODY_BYTES: usize = 8 * 1024;
/// A body of an authenticated request that is too large is still read up to this size, because the client gets the
/// answer only then.
pub const REFUSED_BODY_READ_BYTES: usize = 16 * 1024 * 1024;
/// The greatest size of a cursor.
pub const CURSOR_BYTES: usize = 1024;
/// The number of live sessions of one user. The oldest session closes when one more opens.
pub const SESSIONS_PER_USER: usize = 20;
/// The number of conversations listed in one `auth.success`.
pub const CONVERSATIONS_IN_AUTH: usize = 1000;
/// The number of conversations or users named in one command.
pub const IDS_IN_COMMAND: usize = 1000;
/// The number of conversations named in all parts of one `sync`.
pub const CONVERSATIONS_IN_SYNC: usize = 10_000;
/// The number of users in one presence request.
pub const PRESENCE_USERS: usize = 100;
/// The number of users whose presence one session watches.
pub const PRESENCE_WATCHED: usize = 1000;
/// A conversation with more members than this has no message status and no delivered marks.
pub const STATUS_MEMBERS: i64 = 100;
/// The number of senders in the statistics of a conversation.
pub const TOP_SENDERS: u64 = 50;
/// The number of participants in the details of a conversation.
pub const DETAIL_MEMBERS: u64 = 100;
/// The default number of messages in a page.
pub const MESSAGE_PAGE_DEFAULT: u64 = 50;
/// The default number of items in a page of any other collection.
pub const PAGE_DEFAULT: u64 = 20;
/// The greatest number of items in any page.
pub const PAGE_MAX: u64 = 100;
/// The number of log rows that one transaction rewrites when a message is deleted. It counts separately for rows that
/// show the message and rows that quote it.
pub const REWRITTEN_ROWS: usize = 1024;
/// The number of user streams that one transaction may lock, besides the streams of the class and the conversation.
pub const USER_STREAMS_PER_TRANSACTION: usize = 1000;

/// An access token is valid for this time.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(15);
/// A refresh token is valid for this time.
pub const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// A spent refresh token returns the same successor again for at least this time.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);
/// A WebSocket ticket is valid for this time.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(30);
/// A file token is valid for this time from the beginning of a clock hour. Within one clock hour a user gets the same
/// one.
pub const FILE_TOKEN_LIFETIME: Duration = Duration::from_hours(2);

/// The number of unauthenticated sockets of one address; an IPv6 /64 counts as one address. A socket with a token in
/// its handshake does not count.
pub const UNAUTHENTICATED_SOCKETS_PER_ADDRESS: usize = 128;
/// The number of unauthenticated sockets of the whole node.
pub const UNAUTHENTICATED_SOCKETS: usize = 4096;
/// The greatest size of the head of a request: its request line and its headers.
pub const HEAD_BYTES: usize = 16 * 1024;
/// The number of bytes of a connection that are read before the framework processes them. It is the first size of the
/// buffer of the framework.
pub const READ_STEP_BYTES: usize = 8 * 1024;
/// The number of bytes that are read from a WebSocket at a time.
pub const SOCKET_READ_BYTES: usize = 4 * 1024;
/// While so many bytes wait to be written to a WebSocket, its actor does not run.
pub const WRITE_BUFFER_BYTES: usize = 32 * 1024;
/// If the head of a request is not complete after this time, the answer is 408 and the connection closes.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// If the body of a request is not complete after this time, the request fails, so that a client cannot keep a
/// connection open with single bytes.
pub const BODY_DEADLINE: Duration = Duration::from_secs(30);
/// A connection without a request for this time closes. Proxies usually close idle connections earlier.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The server waits this long for the client to close its side of a connection. A browser reports a closed socket to
/// its page only after the connection has ended, so a longer time would delay a reconnect.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// The number of file descriptors that are reserved for the database, files and the rest.
pub const RESERVED_DESCRIPTORS: u64 = 128;
/// With fewer file descriptors than this the server logs a warning at the start.
pub const RECOMMENDED_DESCRIPTORS: u64 = 8192;
/// The greatest number of connections of a node, for any number of file descriptors.
pub const CONNECTIONS: usize = 100_000;
/// The number of connections that wait to be accepted. After a restart, all clients of a school connect together.
pub const CONNECTION_BACKLOG: i32 = 1024;
/// The least time between two warnings that the node has no free connections.
pub const CONNECTIONS_WARNING_PAUSE: Duration = Duration::from_mins(10);

/// Wrong passwords in a minute for one account from one address.
pub const WRONG_PASSWORDS_PER_MINUTE: usize = 5;
/// Wrong passwords in an hour for one account from all addresses. Beyond them only addresses where the account is known
/// may try a password.
pub const WRONG_PASSWORDS_PER_HOUR: usize = 100;
/// An account is known at an address for this time after a sign-in or the registration from there.
pub const KNOWN_ADDRESS_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// When this many ids and names of accounts known at a network are read, no further page is read. The oldest accounts
/// are read first.
pub const KNOWN_NAMES_PER_NETWORK: usize = 30_000;
/// The number of known accounts that are read together.
pub const KNOWN_ACCOUNTS_PAGE: u64 = 500;
/// Registrations from one address in a burst.
pub const REGISTRATION_BURST: NonZeroU32 = NonZeroU32::new(60).expect("60 is not 0");
/// The number of passwords that wait for a core to be hashed. One more gets `busy` immediately.
pub const HASHING_QUEUE: usize = 256;

/// A connection that is not authenticated after this time closes.
pub const AUTH_DEADLINE: Duration = Duration::from_secs(10);
/// A client gets `auth.expiring` this long before its token expires.
pub const EXPIRY_WARNING: Duration = Duration::from_mins(1);
/// A session with `subscribe=none` waits this long for its first command, after `auth.success` and after each part of a
/// sync. Events of the user's own stream are not sent meanwhile.
pub const FIRST_SYNC_WAIT: Duration = Duration::from_secs(3);
/// The interval of the server's pings to a session.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// A session that has sent nothing for this time is closed (4408).
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(90);
/// The server pings after so many bytes to measure what the client has read. A client that reads one kilobyte per
/// second answers such a ping before [`STALL_TIMEOUT`].
pub const PING_EVERY_BYTES: usize = 16 * 1024;
/// With so many unacknowledged bytes on a socket, a replay waits.
pub const REPLAY_UNREAD_BYTES: usize = 64 * 1024;
/// With more unacknowledged bytes on a socket, nothing more is written and the session is closed (4410). A single frame
/// never closes it, however large it is.
pub const UNACKNOWLEDGED_BYTES: usize = 1024 * 1024;
/// Events of one commit in one stream are sent directly up to this size. If they are larger, the subscribers get them
/// page by page from the log.
pub const LIVE_BYTES: usize = UNACKNOWLEDGED_BYTES / 2;
/// A session that acknowledges nothing for this time, while bytes are unacknowledged, is closed (4410).
pub const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The kernel accepts no further bytes for a client while more than this are not sent yet.
pub const UNSENT_BYTES: u32 = 1024;
/// Typing ends by itself after this time.
pub const TYPING_DURATION: Duration = Duration::from_secs(10);
/// The server passes on one `typing.start` of a session in a conversation within this time. It acknowledges the others
/// and does not pass them on.
pub const TYPING_INTERVAL: Duration = Duration::from_secs(2);
/// A user becomes offline after this time without a session.
pub const OFFLINE_GRACE: Duration = Duration::from_secs(5);
/// Changes of presence are announced together, at most once in this time.
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(250);
/// The number of users in one announcement.
pub const ANNOUNCED_USERS: usize = 500;
/// When the users of an announcement have so many watchers together, no more users are added to it.
pub const ANNOUNCED_WATCHERS: usize = 10_000;
/// Changes of message status are collected for this time before other participants are notified.
pub const STATUS_INTERVAL: Duration = Duration::from_millis(200);
/// The delay before a call over a limit gets its 429, so that a client that repeats it immediately is slowed down.
pub const REFUSAL_DELAY: Duration = Duration::from_millis(100);
/// A session is closed (4429) after so many refusals by a limit within [`FLOOD_WINDOW`].
pub const FLOOD_REFUSALS: usize = 100;
/// The time within which refusals are counted.
pub const FLOOD_WINDOW: Duration = Duration::from_secs(10);

/// The number of sends, or of accepted token generations, in one transaction.
pub const BATCH_SIZE: usize = 256;
/// The longest time for which a batch of sends waits for more of them under load.
pub const SEND_GATHER: Duration = Duration::from_micros(500);
/// If the newest batch of sends runs for longer than this, another one begins beside it, because its connection may be
/// lost or wait for a lock. Other conversations must not wait for that.
pub const BATCH_STALL: Duration = Duration::from_millis(100);
/// The number of sends that are not answered yet. One more gets `unavailable` immediately.
pub const WRITER_QUEUE: usize = 8192;
/// The number of marks that wait for the marks writer. One more gets `unavailable` immediately.
pub const MARKS_QUEUE: usize = 65_536;
/// A transaction that takes longer is ended, and its connection is dropped.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(6);
/// A transaction of a user that waits longer for its write turn fails with `busy`. This time and the transaction itself
/// together take less time than the caller waits.
pub const WRITE_TURN_TIMEOUT: Duration = Duration::from_secs(4);
/// A read that waits longer for its permit fails with `busy`.
pub const READ_PERMIT_TIMEOUT: Duration = Duration::from_secs(2);
/// A request that waits longer for a connection to the database fails. The time includes opening a new connection.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Work that has not ended after this time causes a probe of the database.
pub const DATABASE_SUSPECT_AFTER: Duration = Duration::from_secs(3);
/// The shortest time between two probes while nothing fails. The result of a probe is valid for as long.
pub const DATABASE_PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// A probe without an answer after this time has failed. Load alone does not delay an answer for so long.
pub const DATABASE_PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of users that a search for users examines.
pub const SEARCH_CANDIDATES: u64 = 1000;
/// The greatest length of a search query for users.
pub const USER_QUERY_CHARS: usize = 200;
/// The number of words of a search query for users. Later words are ignored.
pub const USER_QUERY_WORDS: usize = 8;
/// Transactions of one user that run or wait: as many as the calls and commands that a user can have under way.
pub const WRITES_PER_USER: usize = 48;
/// Transactions of one login that run or wait where the user is not known yet. A ticket handshake is one transaction,
/// so this is more than a burst of handshakes.
pub const WRITES_PER_LOGIN: usize = 64;
/// Transactions of all unauthenticated clients of one network that run or wait.
pub const WRITES_PER_NETWORK: usize = 4096;
/// The number of rows that is assumed for a transaction of a few changes.
pub const FEW_ROWS: usize = 4;
/// The rows that a transaction writes for each user whom it adds to a conversation: the participant, the revision of
/// the user and the event.
pub const ROWS_PER_MEMBER: usize = 3;
/// A transaction with more rows is large. Large transactions run one at a time and let other transactions run in
/// between.
pub const LARGE_TRANSACTION_ROWS: u64 = 300;
/// The longest time after a large transaction during which no other large one begins.
pub const LARGE_PAUSE: Duration = Duration::from_millis(250);
/// The number of times that a large transaction yields to sends before it runs to its end.
pub const LARGE_YIELDS: usize = 8;
/// An event counts one more row for each so many bytes.
pub const ROW_BYTES: usize = 1024;
/// Heavy reads of one user that run or wait.
pub const HEAVY_READS_PER_USER: usize = 4;
/// A statement of a heavy read that takes longer is cancelled.
pub const HEAVY_STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of streams that one sync subscribes to at one time.
pub const SUBSCRIPTIONS_AT_ONCE: usize = 256;
/// The number of streams that one sync replays at one time. One page of each is less than a client may leave unread.
pub const REPLAYS_AT_ONCE: usize = 4;
/// The number of events in one page of a replay.
pub const REPLAY_PAGE: u64 = 256;
/// The size of all rings of a node together.
pub const RINGS_BYTES: usize = 64 * 1024 * 1024;
/// The number of events in one ring.
pub const RING_EVENTS: usize = 256;
/// The size of one ring.
pub const RING_BYTES: usize = 256 * 1024;
/// The number of events that a room keeps beyond a gap. Later events are read from the log.
pub const PENDING_EVENTS: usize = 1024;
/// The interval at which a ring drops old events. An event stays in the ring for one to two intervals.
pub const RING_ROUND: Duration = Duration::from_mins(1);
/// A gap in a room waits this long for late events before the room reads the log.
pub const GAP_WAIT: Duration = Duration::from_millis(20);
/// The interval at which the catch-up reads the log for events that were not delivered.
pub const CATCH_UP_INTERVAL: Duration = Duration::from_secs(2);
/// The number of reads of the log that run at one time, besides one repair of rooms.
pub const LOG_READS_AT_ONCE: usize = 4;
/// The number of rooms that one query repairs.
pub const REPAIRED_ROOMS: usize = 256;
/// The number of events that one query of a repair reads for all its rooms together. One room gets at most a page.
pub const REPAIRED_EVENTS: u64 = 4 * REPLAY_PAGE;
/// The number of reads of the log that wait for one user, and that wait to be accepted. One more fails immediately.
pub const WAITING_LOG_READS: usize = 16_384;
/// The size of one page of a replay, unless it is a single event that is larger.
pub const REPLAY_PAGE_BYTES: usize = 128 * 1024;
/// The number of rows that a reader of the log processes in one transaction.
pub const READER_PAGE_ROWS: usize = 1000;
/// The size of the rows that a reader of the log processes in one transaction, without the last row.
pub const READER_PAGE_BYTES: u64 = 1024 * 1024;
/// A reader that no running node knows is failed if it does not read a row for this time.
pub const UNKNOWN_READER_LAG: Duration = Duration::from_hours(7 * 24);

/// The time over which the sessions are closed when the server stops.
pub const DRAIN_TIME: Duration = Duration::from_secs(3);
/// The time after the drain within which requests may end. Then their connections are closed.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(4);

/// Calls of one user in a burst, as a multiple of the calls in a second.
pub const CALLS_BURST: u32 = 2;
/// Sends of one user in a burst, as a multiple of the sends in a second.
pub const SENDS_BURST: u32 = 3;
/// Other commands of one user: in a second, and in a burst.
pub const COMMAND_RATE: (u32, u32) = (50, 200);
/// Handshakes of one user: in a second, and in a burst.
pub const HANDSHAKES_PER_SECOND: (u32, u32) = (10, 50);
/// The cost of a search for users. Calls and commands cost 1 unless they have a cost of their own.
pub const USER_SEARCH_COST: u32 = 5;
/// The number of ids that cost 1: conversations in a `sync` or `subscribe`, or users in a presence command.
pub const IDS_PER_COST: usize = 100;
/// The number of users that cost 1 when a group is created or members are added.
pub const MEMBERS_PER_COST: usize = 10;
/// REST calls of one user that run at one time. One more gets `busy`.
pub const CALLS_RUNNING: usize = 32;
/// Commands of one user that run at one time in all sessions. Others wait.
pub const COMMANDS_RUNNING: usize = 16;
/// Commands of one session that run at one time. Others wait.
pub const COMMANDS_RUNNING_PER_SESSION: usize = 8;
/// Commands of one session that wait for any reason. One more gets `busy`.
pub const COMMANDS_WAITING: usize = 256;
/// The size of the frames that wait while the token of their connection is checked.
pub const UNAUTHENTICATED_WAITING_BYTES: usize = 1024 * 1024;
/// The capacity of the mailbox of a session.
pub const SESSION_MAILBOX: usize = 1024;
/// The capacity of the mailbox of a socket: the frames of 128 bytes in what a client may leave unread.
pub const SOCKET_MAILBOX: usize = UNACKNOWLEDGED_BYTES / 128;
/// The capacity of the mailbox of a room.
pub const ROOM_MAILBOX: usize = 4096;
/// The capacity of the mailbox of the hub.
pub const HUB_MAILBOX: usize = 65_536;
/// The capacity of the mailbox of the presence actor.
pub const PRESENCE_MAILBOX: usize = 65_536;

/// Returns what is wrong with a field that has more than `max` characters, bytes, items or users. The text continues
/// the name of the field.
pub fn at_most(max: usize, unit: &str) -> Cow<'static, str> {
    format!("must have at most {max} {unit}").into()
}

/// Returns what is wrong with a field whose number of characters is not in `range`. The text continues the name of the
/// field.
pub fn out_of_range(range: &RangeInclusive<usize>) -> Cow<'static, str> {
    format!("must have {} to {} characters", range.start(), range.end()).into()
}
