//! Pages of collections: opaque cursors, and the parameter `limit`.
//!
//! A cursor contains the sort key of the last item of a page. Clients send it back unchanged to get the next page.

use crate::domain::limits;
use crate::error::{Error, Result};
use crate::protocol::page::Page;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the content of cursors. It is raised when the content changes, so that old cursors are refused.
const VERSION: u8 = 2;
/// The greatest number in a sort key. Times in milliseconds and row numbers are much smaller, and all columns and casts
/// that a sort key is compared with can hold it.
const GREATEST_NUMBER: i64 = (1 << 53) - 1;

/// The collection that a cursor belongs to. A cursor of another collection is refused, even if its sort key has the
/// same form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    Blocks,
    Conversations,
    /// The former texts of a message.
    FormerTexts,
    Logins,
    Members,
    /// The pinned messages of a conversation.
    Pins,
    /// The reactions to a message.
    Reactions,
    /// The users that a search has found.
    Users,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorContent<T> {
    #[serde(rename = "v")]
    version: u8,
    #[serde(rename = "of")]
    collection: Collection,
    #[serde(rename = "at")]
    sort_key: T,
}

/// Returns a cursor with a sort key of a collection.
///
/// # Panics
///
/// If `T` has a map whose keys are not texts. No sort key has one.
pub fn encode<T: Serialize>(collection: Collection, sort_key: &T) -> String {
    let json = serde_json::to_vec(&CursorContent { version: VERSION, collection, sort_key });
    URL_SAFE_NO_PAD.encode(json.expect("a cursor has string keys and no value that JSON lacks"))
}

/// Returns the sort key in a cursor of a collection. Any other cursor is `invalid_request`.
///
/// A client can send any text as a cursor, so the sort key is checked like other input: the database gets no value that
/// it cannot hold.
pub fn decode<T: DeserializeOwned>(collection: Collection, cursor: &str) -> Result<T> {
    let bad = || Error::invalid_request("The cursor does not belong to this list. Begin without a cursor.");
    if cursor.len() > limits::CURSOR_BYTES {
        return Err(bad());
    }
    let json = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let content: CursorContent<Value> = serde_json::from_slice(&json).map_err(|_| bad())?;
    if content.version != VERSION || content.collection != collection || !is_possible(&content.sort_key) {
        return Err(bad());
    }
    serde_json::from_value(content.sort_key).map_err(|_| bad())
}

/// Returns true if a value can be part of a sort key: its numbers are within bounds, and its texts are not empty and
/// have no control characters.
fn is_possible(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::Number(number) => number.as_i64().is_some_and(|number| (0..=GREATEST_NUMBER).contains(&number)),
        Value::String(text) => !text.is_empty() && !text.contains(char::is_control),
        Value::Array(items) => items.iter().all(is_possible),
        Value::Object(fields) => fields.values().all(is_possible),
    }
}

/// Checks the parameter `limit`, which must be from 1 to [`limits::PAGE_MAX`]. Returns `default` if it is `None`.
pub fn limit(limit: Option<u64>, default: u64) -> Result<u64> {
    match limit {
        None => Ok(default),
        Some(limit) if (1..=limits::PAGE_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(Error::invalid_request(format!("The parameter limit must be from 1 to {}.", limits::PAGE_MAX))),
    }
}

/// The parameters of a page of a collection.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageParams {
    /// The number of items in a page, 1–100. It is 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// The `next_cursor` of the previous page. The first page has none.
    cursor: Option<String>,
}

impl PageParams {
    /// Returns the number of items of the page.
    pub fn limit(&self) -> Result<u64> {
        limit(self.limit, limits::PAGE_DEFAULT)
    }

    /// Returns the sort key after which the page begins: `None` for the first page.
    pub fn after<T: DeserializeOwned>(&self, collection: Collection) -> Result<Option<T>> {
        self.cursor.as_deref().map(|cursor| decode(collection, cursor)).transpose()
    }
}

/// Returns a page of at most `limit` of the rows, each of which has its sort key. The caller reads one row more than
/// `limit`, so that the function knows whether another page follows.
pub fn page<T, K: Serialize>(collection: Collection, mut rows: Vec<(T, K)>, limit: u64) -> Page<T> {
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|(_, sort_key)| encode(collection, sort_key));
    Page { items: rows.into_iter().map(|(item, _)| item).collect(), next_cursor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;
    use crate::domain::ids::ConversationId;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_cursor_contains_its_sort_key() {
        let sort_key = (true, Some(Timestamp(1_700_000_000_000)), ConversationId::new());
        let cursor = encode(Collection::Members, &sort_key);
        let read = decode::<(bool, Option<Timestamp>, ConversationId)>(Collection::Members, &cursor);
        assert_eq!(read.expect("our own"), sort_key);
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        let forged = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let with_key = |key: &str| forged(&format!(r#"{{"v":2,"of":"pins","at":{key}}}"#));
        assert_eq!(decode::<i64>(Collection::Pins, &with_key("1")).ok(), Some(1));
        let other_collection = encode(Collection::Reactions, &1);
        let older = forged(r#"{"v":1,"of":"pins","at":1}"#);
        let without_collection = forged(r#"{"v":2,"at":1}"#);
        let unknown_field = forged(r#"{"v":2,"of":"pins","at":1,"x":2}"#);
        let keys = ["-1", "9007199254740992", "9223372036854775807", "9223372036854775808", "1e3", "1.5", "null"];
        let keys = keys.map(with_key);
        let long = "A".repeat(2000);
        let wrong = ["", "%", "null", "e30", &other_collection, &older, &without_collection, &unknown_field, &long];
        for bad in wrong.into_iter().chain(keys.iter().map(String::as_str)) {
            assert_eq!(decode::<i64>(Collection::Pins, bad).expect_err(bad).code(), Code::InvalidRequest, "{bad}");
        }
        let text = with_key(r#""a\u0000""#);
        assert!(decode::<String>(Collection::Pins, &text).is_err(), "no sort key has NUL");
    }

    #[test]
    fn one_row_more_than_the_limit_makes_a_cursor_for_the_next_page() {
        let rows = |count: i64| (0..count).map(|item| (item, item * 10)).collect::<Vec<_>>();
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
