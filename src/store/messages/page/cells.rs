//! The columns that all parts of the statements of a page share: `a`, `b` and `c` are ids, `n1` to `n7` numbers, `t1` to
//! `t4` texts.

use sea_orm::{DbErr, QueryResult, TryGetable};
use uuid::Uuid;

/// One row. Its columns are read by their index, which is faster than by their names.
#[derive(Clone, Copy)]
pub struct Cells<'r>(pub &'r QueryResult);

impl Cells<'_> {
    fn get<T: TryGetable>(self, index: usize) -> Result<T, DbErr> {
        self.0.try_get_by_index(index)
    }

    /// Returns the number of the part that the row belongs to.
    pub fn part(self) -> Result<i32, DbErr> {
        self.get(0)
    }

    /// Returns the id `a` (1), `b` (2) or `c` (3).
    pub fn id<T: From<Uuid>>(self, index: usize) -> Result<Option<T>, DbErr> {
        Ok(self.get::<Option<Uuid>>(index)?.map(T::from))
    }

    /// Does the same as [`Self::id`] for an id that every row of the part has.
    pub fn own_id<T: From<Uuid>>(self, index: usize) -> Result<T, DbErr> {
        self.get::<Uuid>(index).map(T::from)
    }

    /// Returns the number `n1` … `n7`.
    pub fn number(self, index: usize) -> Result<Option<i64>, DbErr> {
        self.get(3 + index)
    }

    /// Does the same as [`Self::number`] for a number that every row of the part has.
    pub fn own_number(self, index: usize) -> Result<i64, DbErr> {
        self.get(3 + index)
    }

    /// Returns the text `t1` … `t4`.
    pub fn text(self, index: usize) -> Result<Option<String>, DbErr> {
        self.get(10 + index)
    }

    /// Does the same as [`Self::text`] for a text that every row of the part has.
    pub fn own_text(self, index: usize) -> Result<String, DbErr> {
        self.get(10 + index)
    }
}
