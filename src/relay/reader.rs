//! What a reader of the log states: its name, where it begins, its pages, its greatest lag, and what it does with rows.
//!
//! Each reader has a separate file, which contains what it does with a page. [`super::runner`] runs it.
//!
//! - *Exactly once*: the cursor is read and moved under the lock of the reader's row, in the transaction of the
//!   effects. If the page was read with another cursor, or another node has the lease, nothing is changed.
//! - *Events of a reader*: a reader may lock streams and append events. They are delivered after the commit, and the
//!   reader reads them later like all others. So a reader must not append to its own events without an end.
//! - *Database not available*: if the database does not answer, no row is the cause; the cursor stays.
//! - *A page that takes too long* is tried again after a pause. The pause grows, and the page is halved down to one
//!   row. Meanwhile `/health` names the reader. A timeout is the fault of no row, so it parks no stream. Later pages
//!   grow again.
//! - *A row that fails* is found by halving the page. It parks its stream for this reader: the cursor moves past the
//!   row, and later rows of the stream wait. The row is tried again with growing pauses. When it succeeds, the waiting
//!   rows follow in the order of their revisions. After [`MAX_ATTEMPTS`](super::failures::MAX_ATTEMPTS) the status
//!   becomes `failed`: the row is not tried again and later rows of the stream keep waiting. The operator sets the
//!   status to `parked` to try again. Retention keeps the rows of the stream until the row that failed is older than
//!   the lag of the reader.
//! - *A reader that is too far behind* is marked as failed ([`super::lag`]): it stops, `/health` names it, and
//!   retention no longer waits for it, until the operator restarts it.

use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::mailboxes::Ephemeral;
use crate::store::log::pages::LogRow;
use crate::work::transact::WorkFuture;
use crate::work::tx::Tx;
use std::time::Duration;

/// A reader of the log whose effects are only in the database.
pub trait Reader: Send + Sync + 'static {
    /// Returns the name of its row in `readers`, which must never change.
    fn name(&self) -> &str;

    /// Returns where the reader begins when it is registered.
    fn begin(&self) -> Begin;

    /// Returns how old the oldest row that the reader has not processed may be. If it is older and the reader does not
    /// catch up, the reader is marked as failed. Until then retention keeps the rows for it.
    fn max_lag(&self) -> Duration;

    /// Returns the pause after a page that was not full. More rows arrive in the meantime, so that fewer transactions
    /// are necessary.
    fn page_interval(&self) -> Duration;

    /// Returns the limits on the rows and the bytes of a page.
    fn page_limit(&self) -> PageLimit {
        PageLimit { rows: limits::READER_PAGE_ROWS, bytes: limits::READER_PAGE_BYTES }
    }

    /// Processes rows in the transaction `tx`, and must have no other effects, because it runs again if the transaction
    /// fails. It may lock streams and append events. It returns the ephemeral frames to send after the commit.
    ///
    /// The rows of each stream come in the order of their revisions, each once. An error means that one of the rows
    /// cannot be processed, unless the database was not available or too slow.
    fn handle<'t>(&'t self, tx: &'t mut Tx, rows: &'t [&'t LogRow]) -> WorkFuture<'t, Vec<Ephemeral>>;
}

/// Where a new reader begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At the oldest row that the log still has.
    Start,
    /// At the floor of the log when the reader is registered. Rows of transactions that run at that moment come after
    /// it, although newer rows may be visible already.
    Now,
}

/// The limits on the rows and the bytes of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageLimit {
    /// Rows at most.
    pub rows: usize,
    /// Bytes of the rows before the last one at most. So a page is larger by one event at most.
    pub bytes: u64,
}

/// The result of one round of a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoundResult {
    /// The round did some work, and there may be more.
    Worked {
        /// Whether the next round should begin immediately.
        has_more: bool,
    },
    /// There is nothing to do until the log grows, or until this time.
    Idle(Option<Timestamp>),
    /// The next rows are above the floor of the log: a transaction that may add rows before them has not ended.
    Waiting,
    /// The reader is failed and waits for the operator.
    Failed,
}
