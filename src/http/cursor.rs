//! Pages of collections: opaque cursors and the `limit` every collection takes. What a cursor holds is its collection's
//! own; clients give it back as they got it.

use crate::domain::limits;
use crate::error::{Error, Result};
use crate::protocol::resources::Page;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Raised when what a cursor holds changes, so that an old one is refused and not misread.
const VERSION: u8 = 2;
/// No cursor of ours is longer.
const LONGEST: usize = 1024;
/// The greatest number in a place: times in milliseconds and row numbers stay far below it, and every column and cast that
/// a place is compared with holds it.
const GREATEST: i64 = (1 << 53) - 1;

/// Whose place a cursor holds, so that one of another collection is refused even where its place looks alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    /// Whom the caller has blocked.
    Blocks,
    /// The caller's conversations.
    Conversations,
    /// Former texts of a message.
    FormerTexts,
    /// The caller's logins.
    Logins,
    /// Participants of a conversation.
    Members,
    /// Pinned messages of a conversation.
    Pins,
    /// Reactions to a message.
    Reactions,
    /// Users who were searched for.
    Users,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    v: u8,
    of: Collection,
    at: T,
}

/// A cursor that holds `at`, a place in the collection `of`.
///
/// # Panics
///
/// If `T` holds a map whose keys are no text, which no collection's place does.
pub fn encode<T: Serialize>(of: Collection, at: &T) -> String {
    let json = serde_json::to_vec(&Envelope { v: VERSION, of, at });
    URL_SAFE_NO_PAD.encode(json.expect("a cursor has string keys and no value that JSON lacks"))
}

/// The place that a cursor of the collection `of` holds; one that we did not make is `invalid_request`. A client can write
/// any cursor, so what is read from one is checked like any other input: no database is asked for what it cannot hold.
pub fn decode<T: DeserializeOwned>(of: Collection, cursor: &str) -> Result<T> {
    let bad = || Error::invalid_request("this cursor is none of this list; begin without one");
    if cursor.len() > LONGEST {
        return Err(bad());
    }
    let json = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let envelope: Envelope<Value> = serde_json::from_slice(&json).map_err(|_| bad())?;
    if envelope.v != VERSION || envelope.of != of || !may_be_ours(&envelope.at) {
        return Err(bad());
    }
    serde_json::from_value(envelope.at).map_err(|_| bad())
}

/// Whether a place of ours could hold it: numbers within bounds, and texts that say something and control nothing.
fn may_be_ours(at: &Value) -> bool {
    match at {
        Value::Null | Value::Bool(_) => true,
        Value::Number(number) => number.as_i64().is_some_and(|number| (0..=GREATEST).contains(&number)),
        Value::String(text) => !text.is_empty() && !text.contains(char::is_control),
        Value::Array(items) => items.iter().all(may_be_ours),
        Value::Object(fields) => fields.values().all(may_be_ours),
    }
}

/// How many items a page has: what was asked for, from 1 to [`limits::PAGE_MAX`], or `default`.
pub fn limit(asked: Option<u64>, default: u64) -> Result<u64> {
    match asked {
        None => Ok(default),
        Some(limit) if (1..=limits::PAGE_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(Error::invalid_request(format!("limit must be from 1 to {}", limits::PAGE_MAX))),
    }
}

/// Which page of a collection.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// Items in a page, 1–100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl Paging {
    /// How many items the page has.
    pub fn limit(&self) -> Result<u64> {
        limit(self.limit, limits::PAGE)
    }

    /// The place behind which it begins; none for the first page.
    pub fn after<T: DeserializeOwned>(&self, of: Collection) -> Result<Option<T>> {
        self.cursor.as_deref().map(|cursor| decode(of, cursor)).transpose()
    }
}

/// The page of `rows`, each with its place in the collection `of`, of which one more than `limit` was asked for, to see whether another follows.
pub fn page<T, P: Serialize>(of: Collection, mut rows: Vec<(T, P)>, limit: u64) -> Page<T> {
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|(_, place)| encode(of, place));
    Page { items: rows.into_iter().map(|(item, _)| item).collect(), next_cursor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;
    use crate::domain::ids::ConversationId;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let at = (true, Some(Timestamp(1_700_000_000_000)), ConversationId::new());
        let cursor = encode(Collection::Members, &at);
        let read = decode::<(bool, Option<Timestamp>, ConversationId)>(Collection::Members, &cursor);
        assert_eq!(read.expect("our own"), at);
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        let forged = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let at = |place: &str| forged(&format!(r#"{{"v":2,"of":"pins","at":{place}}}"#));
        assert_eq!(decode::<i64>(Collection::Pins, &at("1")).ok(), Some(1));
        let elsewhere = encode(Collection::Reactions, &1);
        let older = forged(r#"{"v":1,"of":"pins","at":1}"#);
        let nameless = forged(r#"{"v":2,"at":1}"#);
        let more = forged(r#"{"v":2,"of":"pins","at":1,"x":2}"#);
        let places = ["-1", "9007199254740992", "9223372036854775807", "9223372036854775808", "1e3", "1.5", "null"];
        let places = places.map(at);
        let wrong = ["", "%", "null", "e30", &elsewhere, &older, &nameless, &more, &"A".repeat(2000)];
        for bad in wrong.into_iter().chain(places.iter().map(String::as_str)) {
            assert_eq!(decode::<i64>(Collection::Pins, bad).expect_err(bad).code(), Code::InvalidRequest, "{bad}");
        }
        let text = at(r#""a\u0000""#);
        assert!(decode::<String>(Collection::Pins, &text).is_err(), "no text of ours holds NUL");
    }

    #[test]
    fn the_row_beyond_a_page_says_that_another_follows() {
        let rows = |count: i64| (0..count).map(|at| (at, at * 10)).collect::<Vec<_>>();
        let page = |count| page(Collection::Pins, rows(count), 3);
        let (full, last) = (page(4), page(3));
        assert_eq!((full.items, last.items), (vec![0, 1, 2], vec![0, 1, 2]));
        assert_eq!(decode::<i64>(Collection::Pins, &full.next_cursor.expect("more")).ok(), Some(20));
        assert_eq!((last.next_cursor, page(0).next_cursor), (None, None));
    }

    #[test]
    fn a_page_has_one_to_a_hundred_items() {
        assert_eq!(limit(None, 20).ok(), Some(20));
        assert_eq!((limit(Some(1), 20).ok(), limit(Some(100), 20).ok()), (Some(1), Some(100)));
        for bad in [0, 101, u64::MAX] {
            assert_eq!(limit(Some(bad), 20).expect_err("out of bounds").code(), Code::InvalidRequest);
        }
    }
}
