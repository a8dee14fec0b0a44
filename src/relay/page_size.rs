//! The number of rows that a reader of the log processes at once: halved by a timeout, and growing again afterwards.

/// A page grows by this part of its limit after each full page that succeeds. So a reader whose full pages time out
/// wastes one page of several, and not every second one.
const GROWTH_PART: usize = 16;
/// A row that times out alone so many times in a row parks its stream, so that it does not stop the other streams.
const LONE_TIMEOUTS: u32 = 3;

/// The current size of the pages of one reader.
#[derive(Debug)]
pub struct PageSize {
    limit: usize,
    rows: usize,
    /// Timeouts in a row of a page of one row.
    lone_timeouts: u32,
}

impl PageSize {
    /// Creates the size for pages of at most `limit` rows.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), rows: limit.max(1), lone_timeouts: 0 }
    }

    /// Returns the number of rows of the next page at most.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Makes the next pages smaller, after a page of `rows` rows timed out. Returns whether a row has timed out alone
    /// so often that its stream must be parked.
    pub fn shrink(&mut self, rows: usize) -> bool {
        self.rows = (rows / 2).max(1);
        if rows > 1 {
            return false;
        }
        self.lone_timeouts += 1;
        self.lone_timeouts >= LONE_TIMEOUTS
    }

    /// Makes the next pages larger, if a page of `rows` rows that succeeded was as large as allowed.
    pub fn grow(&mut self, rows: usize) {
        self.lone_timeouts = 0;
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
        for rows in [50, 25, 12, 6, 3, 1] {
            assert!(!size.shrink(size.rows()));
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
    fn only_a_row_that_times_out_alone_again_and_again_is_parked() {
        let mut size = PageSize::new(2);
        assert!(!size.shrink(2));
        assert!(!size.shrink(1) && !size.shrink(1));
        size.grow(1);
        assert!(!size.shrink(1) && !size.shrink(1) && size.shrink(1));
    }
}
