//! One page of a collection.

use serde::Serialize;
use utoipa::ToSchema;

/// One page of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// The value of `cursor` for the next page. Null on the last page.
    pub next_cursor: Option<String>,
}
