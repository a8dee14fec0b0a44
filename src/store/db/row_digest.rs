//! The digest of a log row that was seen committed, by which a later read shows whether the log is still the same one.

use aws_lc_rs::digest::{SHA256, digest};
use sea_orm::{DbErr, QueryResult};
use std::fmt::Write;
use uuid::Uuid;

/// The columns from which a [`RowDigest`] is computed.
pub const ROW_COLUMNS: &str = "id, stream_kind, stream_id, rev, event_type, created_at";

/// Identifies a log row that was seen committed, by its id and a digest of the columns that never change. The payload
/// is not part of the digest, because the deletion of a message changes it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RowDigest {
    /// For a log without rows this is the greatest id that it ever assigned, 0 if it assigned none.
    pub id: i64,
    /// SHA-256 in hexadecimal. Empty if the log had no row.
    pub digest: String,
}

impl RowDigest {
    /// Computes the digest of a row that has the columns [`ROW_COLUMNS`].
    pub fn from_row(row: &QueryResult) -> Result<Self, DbErr> {
        let id: i64 = row.try_get("", "id")?;
        let stream: Uuid = row.try_get("", "stream_id")?;
        let text = format!(
            "{id} {} {stream} {} {} {}",
            row.try_get::<i16>("", "stream_kind")?,
            row.try_get::<i64>("", "rev")?,
            row.try_get::<String>("", "event_type")?,
            row.try_get::<i64>("", "created_at")?
        );
        let digest = digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Ok(Self { id, digest })
    }

    /// Returns the text that is stored in a file.
    pub fn to_text(&self) -> String {
        format!("{} {}\n", self.id, self.digest)
    }

    /// Parses the text of [`Self::to_text`]. `None` if it is incomplete.
    pub fn from_text(text: &str) -> Option<Self> {
        let (id, digest) = text.strip_suffix('\n')?.split_once(' ')?;
        let id = id.parse().ok().filter(|id| *id >= 0)?;
        let is_complete = digest.is_empty() || (id > 0 && digest.len() == 64);
        is_complete.then(|| Self { id, digest: digest.to_owned() })
    }

    /// Returns whether a log belongs to the history in which this row was seen. `found` is the row of that log with the
    /// same id, and `last_id` is the greatest id that the log ever assigned. Without the row, the answer is yes if
    /// `last_id` is great enough: then retention has removed the row.
    pub fn is_of_log(&self, found: Option<&Self>, last_id: i64) -> bool {
        match found {
            Some(found) if !self.digest.is_empty() => found == self,
            _ => last_id >= self.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_digest(id: i64, digit: &str) -> RowDigest {
        RowDigest { id, digest: digit.repeat(64) }
    }

    #[test]
    fn an_incomplete_file_is_none() {
        for kept in [RowDigest::default(), RowDigest { id: 17, ..RowDigest::default() }, row_digest(17, "a")] {
            assert_eq!(RowDigest::from_text(&kept.to_text()), Some(kept));
        }
        for text in ["", "17", "17 aa\n", "-1 \n", "x \n", &row_digest(17, "a").to_text()[..40]] {
            assert_eq!(RowDigest::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_log_without_the_row_is_of_the_same_history_only_if_it_assigned_greater_ids() {
        let seen = row_digest(100, "a");
        assert!(seen.is_of_log(Some(&row_digest(100, "a")), 100));
        assert!(!seen.is_of_log(Some(&row_digest(100, "b")), 100), "another row with its id");
        assert!(!seen.is_of_log(None, 99), "an older copy");
        assert!(seen.is_of_log(None, 100), "retention removed it");
        assert!(RowDigest::default().is_of_log(None, 0), "nothing was seen");
        let emptied = RowDigest { id: 100, ..RowDigest::default() };
        assert!(emptied.is_of_log(None, 100) && emptied.is_of_log(None, 105), "the ids continue");
        assert!(emptied.is_of_log(Some(&seen), 100), "a copy that was made before the row was removed");
        assert!(!emptied.is_of_log(None, 99), "an older copy");
    }
}
