//! Tries the rows of parked streams again, with growing pauses, and then the rows that wait behind them.

use super::failures::{MAX_ATTEMPTS, error_text, is_own_fault, is_timeout, pause};
use super::page_size::LONGEST_PAUSE;
use super::runner::{ReaderRunner, TransactionResult};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::log::pages::{self, LogRow};
use crate::store::log::parked::{self, ParkedStream};

/// Rows of a parked stream in one transaction at most.
const PARKED_PAGE_ROWS: usize = 200;

impl ReaderRunner {
    /// Processes the row at which a stream is parked, and the waiting rows after it. A timeout is no attempt at the
    /// row, but it delays the next one, so that the reader processes other rows meanwhile.
    pub(super) async fn retry_parked(&self, parked: ParkedStream) -> Result<()> {
        let mut max_rows = self.page_size(|size| size.rows()).min(PARKED_PAGE_ROWS);
        loop {
            match self.process_parked(parked.clone(), max_rows).await {
                Ok(()) => break,
                Err(error) if !is_own_fault(&error) => {
                    if is_timeout(&error) {
                        self.postpone(parked).await?;
                    }
                    return Err(self.shrink_pages(error, max_rows));
                }
                // A later row may have failed: try the parked row alone.
                Err(_) if max_rows > 1 => max_rows = 1,
                Err(error) => return self.record_failure(parked, &error).await,
            }
        }
        self.page_size(|size| size.grow(max_rows));
        Ok(())
    }

    async fn process_parked(&self, parked: ParkedStream, max_rows: usize) -> Result<()> {
        let (runner, max_bytes) = (self.clone(), self.reader.page_limit().bytes);
        self.transact_with_lease(move |tx, cursor| {
            let (runner, parked) = (runner.clone(), parked.clone());
            Box::pin(async move {
                let name = runner.reader.name();
                if !parked::is_parked(tx.conn(), name, &parked).await? {
                    return Ok(TransactionResult::Outdated);
                }
                let page = pages::stream_page(tx.conn(), parked.stream, parked.rev, cursor, max_rows, max_bytes);
                let page = page.await?;
                let frames = runner.handle(tx, &page.rows.iter().collect::<Vec<&LogRow>>()).await?;
                let next = page.rows.last().filter(|_| page.has_more).map(|last| last.rev.next());
                parked::advance_parked(tx.conn(), name, &parked, next, tx.now()).await?;
                Ok(TransactionResult::Done(frames))
            })
        })
        .await
    }

    async fn postpone(&self, parked: ParkedStream) -> Result<()> {
        let name = self.reader.name().to_owned();
        self.transact_with_lease(move |tx, _| {
            let (name, parked) = (name.clone(), parked.clone());
            Box::pin(async move {
                parked::postpone(tx.conn(), &name, &parked, Timestamp::now().plus(LONGEST_PAUSE)).await?;
                Ok(TransactionResult::Done(Vec::new()))
            })
        })
        .await
    }

    async fn record_failure(&self, parked: ParkedStream, error: &Error) -> Result<()> {
        let (reader, text, attempts) = (self.reader.clone(), error_text(error), parked.attempts + 1);
        let is_given_up = attempts >= MAX_ATTEMPTS;
        if is_given_up {
            let (stream, rev) = (parked.stream, parked.rev.0);
            tracing::error!(reader = reader.name(), ?stream, rev, error = text, "a row is given up");
        }
        self.transact_with_lease(move |tx, _| {
            let (reader, text, parked) = (reader.clone(), text.clone(), parked.clone());
            Box::pin(async move {
                if !parked::is_parked(tx.conn(), reader.name(), &parked).await? {
                    return Ok(TransactionResult::Outdated);
                }
                let next_at = Timestamp::now().plus(pause(attempts));
                parked::record_failure(tx.conn(), reader.name(), &parked, next_at, &text, is_given_up).await?;
                Ok(TransactionResult::Done(Vec::new()))
            })
        })
        .await
    }
}
