//! Divides the connections to PostgreSQL by purpose.

use super::DatabaseSettings;

impl DatabaseSettings {
    /// Divides the connections to PostgreSQL by purpose. Writes get the largest part. The pages of the log, which users
    /// read when they reconnect, get the second largest. The health probe has one more connection, which is in no
    /// share.
    pub fn connection_shares(&self) -> ConnectionShares {
        let part = |of: u32| (self.connections / of).max(1);
        let (authentication, ordinary, log, heavy) = (part(10), part(6), part(5), part(8));
        let write = self.connections.saturating_sub(1 + authentication + ordinary + log + heavy).max(1);
        ConnectionShares { write, authentication, ordinary, log, heavy }
    }
}

/// The number of connections to PostgreSQL for each purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionShares {
    /// A transaction on one of these connections may wait for a lock of another transaction.
    pub write: u32,
    /// Authentication waits for no lock.
    pub authentication: u32,
    /// Ordinary reads.
    pub ordinary: u32,
    /// Pages of the log: sync, gaps, catch-up.
    pub log: u32,
    /// Heavy reads: search, statistics.
    pub heavy: u32,
}

impl ConnectionShares {
    /// Divides the write connections that remain after one for each of the `writers` of sends. Returns `None` if too
    /// few remain. Each kind of work has as many connections as it uses at one time. So no transaction waits for a
    /// connection that is used by another transaction which waits for a lock.
    pub fn write_connections(self, writers: usize) -> Option<WriteConnections> {
        match (self.write as usize).checked_sub(writers)? {
            0 | 1 => None,
            2 => Some(WriteConnections { server: 1, users: 1 }),
            rest => Some(WriteConnections { server: 2, users: rest - 2 }),
        }
    }
}

/// The connections to PostgreSQL for writes, without those of the writers of sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteConnections {
    /// One connection for marks and accepted token generations, and one for the relay and maintenance; or one for both.
    pub server: usize,
    /// The transactions of users, and the sends to a conversation that another transaction has locked.
    pub users: usize,
}
