//! Pages of a collection: `?limit`, and a cursor that only the server understands. What does not fit is
//! `invalid_request`.

use super::resources::Page;
use crate::domain::limits;
use crate::error::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How many items to answer with.
pub fn limit(asked: Option<u64>) -> Result<u64> {
    match asked.unwrap_or(limits::PAGE) {
        limit @ 1..=limits::PAGE_MAX => Ok(limit),
        _ => Err(Error::invalid_request("limit must be from 1 to 100")),
    }
}

/// The place after which a page begins; `None` for the first page. A client can write any cursor, so what is read from
/// one is checked like any other input.
pub fn place<P: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<P>> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    place.map(Some).ok_or_else(|| Error::invalid_request("this cursor is not one of ours"))
}

/// A page out of `rows`, which were read with one more than `limit`, so that the last page is known as such.
pub fn page<P: Serialize, T>(mut rows: Vec<(P, T)>, limit: u64) -> Page<T> {
    let limit = limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|(place, _)| cursor(place));
    Page { items: rows.into_iter().map(|(_, item)| item).collect(), next_cursor }
}

fn cursor(place: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).expect("a place has no value that JSON lacks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_full_and_names_the_next_only_if_there_is_one() {
        let rows = |count: i64| (1..=count).map(|at| (at, at)).collect::<Vec<_>>();
        let first = page(rows(3), 2);
        assert_eq!(first.items, [1, 2]);
        assert_eq!(place::<i64>(first.next_cursor.as_deref()).unwrap(), Some(2));
        let last = page(rows(2), 2);
        assert_eq!((last.items.len(), last.next_cursor), (2, None));
        assert_eq!(place::<i64>(None).unwrap(), None);
    }

    #[test]
    fn what_is_no_cursor_and_no_limit_is_refused() {
        for bad in ["", "nonsense", "\0", &cursor(&"text")] {
            assert!(place::<i64>(Some(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(limit(None).unwrap(), 20);
        assert_eq!((limit(Some(1)).unwrap(), limit(Some(100)).unwrap()), (1, 100));
        assert!(limit(Some(0)).is_err() && limit(Some(101)).is_err());
    }
}
