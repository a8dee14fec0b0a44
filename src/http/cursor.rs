//! Pages of collections: opaque cursors and the `limit` every collection takes. What a cursor holds is its collection's
//! own; clients give it back as they got it.

use crate::domain::limits;
use crate::error::{Error, Result};
use crate::protocol::resources::Page;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Raised when what a cursor holds changes, so that an old one is refused and not misread.
const VERSION: u8 = 1;
/// No cursor of ours is longer.
const LONGEST: usize = 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    v: u8,
    at: T,
}

/// A cursor that holds `at`.
///
/// # Panics
///
/// If `T` holds a map whose keys are no text, which no collection's place does.
pub fn encode<T: Serialize>(at: &T) -> String {
    let json = serde_json::to_vec(&Envelope { v: VERSION, at });
    URL_SAFE_NO_PAD.encode(json.expect("a cursor has string keys and no value that JSON lacks"))
}

/// What a cursor holds; one that we did not make is `invalid_request`. A client can write any cursor, so what is read from
/// one is checked like any other input.
pub fn decode<T: DeserializeOwned>(cursor: &str) -> Result<T> {
    let bad = || Error::invalid_request("bad cursor");
    if cursor.len() > LONGEST {
        return Err(bad());
    }
    let json = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let envelope: Envelope<T> = serde_json::from_slice(&json).map_err(|_| bad())?;
    if envelope.v == VERSION { Ok(envelope.at) } else { Err(bad()) }
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
    pub fn after<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.cursor.as_deref().map(decode).transpose()
    }
}

/// The page of `rows`, each with its place, of which one more than `limit` was asked for, to see whether another follows.
pub fn page<T, P: Serialize>(mut rows: Vec<(T, P)>, limit: u64) -> Page<T> {
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|(_, place)| encode(place));
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
        assert_eq!(decode::<(bool, Option<Timestamp>, ConversationId)>(&encode(&at)).expect("our own"), at);
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        let other = encode(&"text");
        let older = URL_SAFE_NO_PAD.encode(br#"{"v":0,"at":1}"#);
        let more = URL_SAFE_NO_PAD.encode(br#"{"v":1,"at":1,"x":2}"#);
        for bad in ["", "%", "null", "e30", &other, &older, &more, &"A".repeat(2000)] {
            assert_eq!(decode::<i64>(bad).expect_err(bad).code(), Code::InvalidRequest, "{bad}");
        }
    }

    #[test]
    fn the_row_beyond_a_page_says_that_another_follows() {
        let rows = |count: i64| (0..count).map(|at| (at, at * 10)).collect::<Vec<_>>();
        let (full, last) = (page(rows(4), 3), page(rows(3), 3));
        assert_eq!((full.items, last.items), (vec![0, 1, 2], vec![0, 1, 2]));
        assert_eq!(decode::<i64>(&full.next_cursor.expect("more")).ok(), Some(20));
        assert_eq!((last.next_cursor, page(rows(0), 3).next_cursor), (None, None));
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
