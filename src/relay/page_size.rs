//! The number of rows that a reader of the log processes in one transaction, and of users that a step of a bulk change
//! changes: halved by a timeout, and growing again afterwards.

use super::failures::FIRST_PAUSE;
use std::time::Duration;

/// A page grows by this part of its limit after each full page that succeeds. So a reader whose full pages time out
/// wastes one page of several, and not every second one.
const GROWTH_PART: usize = 16;
/// The longest pause after a timeout.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The current size of the pages of one reader, or of the steps of one bulk change.
#[derive(Debug)]
pub struct PageSize {
    limit: usize,
    rows: usize,
    pause: Duration,
}

impl PageSize {
    /// Creates the size for pages of at most `limit` rows.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), rows: limit.max(1), pause: Duration::ZERO }
    }

    /// Returns the number of rows of the next page at most.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the pause before the next page. It is zero after a success.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Makes the next pages smaller and the pause longer, after a page of `rows` rows timed out.
    pub fn shrink(&mut self, rows: usize) {
        self.rows = (rows / 2).max(1);
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
    }

    /// Ends the pause after a page of `rows` rows that succeeded. Makes the next pages larger if the page was as large
    /// as allowed.
    pub fn grow(&mut self, rows: usize) {
        self.pause = Duration::ZERO;
        if rows >= self.rows {
            self.rows = (self.rows + (self.limit / GROWTH_PART).max(1)).min(self.limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_halves_a_page_down_to_one_row_and_full_pages_grow_again() {
        let mut size = PageSize::new(100);
        for rows in [50, 25, 12, 6, 3, 1, 1] {
            size.shrink(size.rows());
            assert_eq!(size.rows(), rows);
        }
        size.grow(1);
        assert_eq!(size.rows(), 7);
        size.grow(3);
        assert_eq!(size.rows(), 7, "a page that was not full says nothing");
        for _ in 0..20 {
            size.grow(size.rows());
        }
        assert_eq!(size.rows(), 100);
    }

    #[test]
    fn the_pause_grows_with_each_timeout_and_ends_with_a_success() {
        let mut size = PageSize::new(100);
        assert_eq!(size.pause(), Duration::ZERO);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            size.shrink(1);
            assert_eq!(size.pause(), Duration::from_secs(seconds));
        }
        size.grow(1);
        assert_eq!(size.pause(), Duration::ZERO);
        size.shrink(1);
        assert_eq!(size.pause(), Duration::from_secs(1));
    }
}
