//! Pages of a collection: `?limit`, and a cursor that only the server understands; clients give it back as they got it.
//! What a cursor holds is its collection's own: the place after which the next page begins.

use super::resources::Page;
use crate::domain::limits;
use crate::error::{Error, Result};
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
struct Envelope<P> {
    v: u8,
    at: P,
}

/// How many items a page has: what was asked for, from 1 to [`limits::PAGE_MAX`], or `default`; else `invalid_request`.
pub fn limit(asked: Option<u64>, default: u64) -> Result<u64> {
    match asked.unwrap_or(default) {
        limit @ 1..=limits::PAGE_MAX => Ok(limit),
        _ => Err(Error::invalid_request(format!("limit must be from 1 to {}", limits::PAGE_MAX))),
    }
}

/// The place after which a page begins; `None` for the first page, `invalid_request` for a cursor that is not ours. A
/// client can write any cursor, so what is read from one is checked like any other input.
pub fn place<P: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<P>> {
    let Some(cursor) = cursor else { return Ok(None) };
    let json = (cursor.len() <= LONGEST).then(|| URL_SAFE_NO_PAD.decode(cursor).ok()).flatten();
    let envelope: Option<Envelope<P>> = json.and_then(|json| serde_json::from_slice(&json).ok());
    let place = envelope.filter(|envelope| envelope.v == VERSION).map(|envelope| envelope.at);
    place.map(Some).ok_or_else(|| Error::invalid_request("bad cursor"))
}

/// A page, and the place where the next one begins, if there is a next one.
pub fn page<P: Serialize, T>(items: Vec<T>, next: Option<&P>) -> Page<T> {
    Page { items, next_cursor: next.map(cursor) }
}

fn cursor(at: &impl Serialize) -> String {
    let json = serde_json::to_vec(&Envelope { v: VERSION, at });
    URL_SAFE_NO_PAD.encode(json.expect("a place has string keys and no value that JSON lacks"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;
    use crate::domain::ids::ConversationId;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_place_comes_back_as_it_went() {
        type Place = (bool, Option<Timestamp>, ConversationId);
        let at: Place = (true, Some(Timestamp(1_700_000_000_000)), ConversationId::new());
        let first = page(vec![1, 2], Some(&at));
        assert_eq!(place::<Place>(first.next_cursor.as_deref()).expect("our own"), Some(at));
        assert_eq!(page::<Place, _>(vec![3], None).next_cursor, None);
        assert_eq!(place::<Place>(None).expect("the first page"), None);
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        let other = cursor(&"text");
        let older = URL_SAFE_NO_PAD.encode(br#"{"v":0,"at":1}"#);
        let more = URL_SAFE_NO_PAD.encode(br#"{"v":1,"at":1,"x":2}"#);
        for bad in ["", "%", "null", "\0", "e30", &other, &older, &more, &"A".repeat(2000)] {
            assert_eq!(place::<i64>(Some(bad)).expect_err(bad).code(), Code::InvalidRequest, "{bad}");
        }
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
