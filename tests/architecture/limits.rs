//! The document of limits has the numbers of the constants.

use greenroom::domain::limits;
use std::fmt::Display;
use std::time::Duration;

/// Returns one sentence for each row of docs/limits.md that does not state its number.
pub fn list_missing(document: &str) -> Vec<String> {
    let rows: Vec<(&str, String)> = vec![
        ("connections of a node", grouped(limits::CONNECTIONS)),
        ("connections of a node", grouped(limits::CONNECTION_BACKLOG as usize)),
        ("connections of a node", grouped(limits::RESERVED_DESCRIPTORS as usize)),
        ("descriptors", grouped(limits::RECOMMENDED_DESCRIPTORS as usize)),
        ("the head of a request", seconds(limits::HEAD_DEADLINE)),
        ("the body of a request", seconds(limits::BODY_DEADLINE)),
        ("the head (line and headers)", kib(limits::HEAD_BYTES)),
        ("a connection without a call", seconds(limits::KEEP_ALIVE)),
        ("a connection without a call", seconds(limits::KEEP_ALIVE + limits::HEAD_DEADLINE)),
        ("unauthenticated sockets", format!("{} for an address", limits::UNAUTHENTICATED_SOCKETS_PER_ADDRESS)),
        ("unauthenticated sockets", format!("{} for a node", grouped(limits::UNAUTHENTICATED_SOCKETS))),
        ("the time to authenticate", seconds(limits::AUTH_DEADLINE)),
        ("with `subscribe=none`", seconds(limits::FIRST_SYNC_WAIT)),
        ("bytes that are read of a connection", kib(limits::READ_STEP_BYTES)),
        ("a JSON body", kib(limits::BODY_BYTES)),
        ("a JSON body", format!("{} on routes without a token", kib(limits::UNAUTHENTICATED_BODY_BYTES))),
        ("a WebSocket frame", kib(limits::FRAME_BYTES)),
        ("ids in one command", both(grouped(limits::IDS_IN_COMMAND), grouped(limits::CONVERSATIONS_IN_SYNC))),
        ("a message · its `data`", format!("{} characters", grouped(limits::CONTENT_CHARS))),
        ("a message · its `data`", kib(limits::DATA_BYTES)),
        ("a description", format!("{} characters", grouped(limits::DESCRIPTION_CHARS))),
        ("a description", format!("{} characters", grouped(limits::URL_CHARS))),
        ("members of a group", grouped(limits::GROUP_MEMBERS)),
        ("the users that one `participant.joined`", kib(limits::JOINED_BYTES)),
        ("one event", kib(limits::EVENT_BYTES)),
        ("events of one commit", kib(limits::LIVE_BYTES)),
        ("events of one commit", kib(limits::REPLAY_PAGE_BYTES)),
        ("bytes that one client has not acknowledged", format!("{} MiB", limits::UNACKNOWLEDGED_BYTES / (1024 * 1024))),
        ("other commands", per_second(limits::COMMAND_RATE)),
        ("other commands", format!("within {}", seconds(limits::FLOOD_WINDOW))),
        ("calls over REST", format!("{} ms", limits::REFUSAL_DELAY.as_millis())),
        ("handshakes", per_second(limits::HANDSHAKES_PER_SECOND)),
        ("sessions", limits::SESSIONS_PER_USER.to_string()),
        ("running calls", both(limits::CALLS_RUNNING, limits::COMMANDS_RUNNING)),
        ("running calls", format!("{} of one session", limits::COMMANDS_RUNNING_PER_SESSION)),
        ("waiting commands of a session", limits::COMMANDS_WAITING.to_string()),
        ("streams that one `sync` subscribes to", both(limits::SUBSCRIPTIONS_AT_ONCE, limits::REPLAYS_AT_ONCE)),
        ("pages of the log that wait", grouped(limits::WAITING_LOG_READS)),
        ("ordinary reads of one user", seconds(limits::READ_PERMIT_TIMEOUT)),
        ("searches that run or wait", format!("| {},", limits::HEAVY_READS_PER_USER)),
        ("searches that run or wait", seconds(limits::HEAVY_STATEMENT_TIMEOUT)),
        ("the wait for a write turn", both(seconds(limits::WRITE_TURN_TIMEOUT), seconds(limits::ACQUIRE_TIMEOUT))),
        ("changes of more than", format!("{} rows", limits::LARGE_TRANSACTION_ROWS)),
        ("changes of more than", format!("{} ms", limits::LARGE_PAUSE.as_millis())),
        ("wrong passwords |", format!("{} a minute for one account", limits::WRONG_PASSWORDS_PER_MINUTE)),
        ("wrong passwords |", format!("{} days", limits::KNOWN_ADDRESS_LIFETIME.as_secs() / 86_400)),
        ("wrong passwords for one account", format!("{} an hour", limits::WRONG_PASSWORDS_PER_HOUR)),
        ("registrations", format!("{} in a burst", limits::REGISTRATION_BURST)),
        ("rows of the log that a reader", grouped(limits::READER_PAGE_ROWS)),
        ("rows of the log that a reader", format!("{} KiB", grouped(limits::READER_PAGE_BYTES as usize / 1024))),
        ("the time that a reader", format!("{} days", limits::UNKNOWN_READER_LAG.as_secs() / 86_400)),
        ("users in one step", grouped(limits::USER_STREAMS_PER_TRANSACTION)),
        ("passwords that wait to be hashed", limits::HASHING_QUEUE.to_string()),
    ];
    let is_row = |line: &&str, start: &str| line.strip_prefix("| ").is_some_and(|row| row.starts_with(start));
    let missing =
        rows.into_iter().filter_map(|(start, number)| match document.lines().find(|line| is_row(line, start)) {
            None => Some(format!("docs/limits.md has no row `{start}`")),
            Some(row) if row.contains(&number) => None,
            Some(_) => {
                Some(format!("docs/limits.md: the row `{start}` does not state {number}, as src/domain/limits.rs does"))
            }
        });
    missing.collect()
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes / 1024)
}

fn per_second((count, burst): (u32, u32)) -> String {
    format!("{count} a second, {burst} in a burst")
}

fn both(one: impl Display, other: impl Display) -> String {
    format!("{one} · {other}")
}

/// Returns a number with commas between groups of three digits.
fn grouped(number: usize) -> String {
    let rest = format!("{:03}", number % 1000);
    if number < 1000 { number.to_string() } else { format!("{},{rest}", grouped(number / 1000)) }
}
