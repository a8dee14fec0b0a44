//! Bounds on unauthenticated sockets, for each address and for the node.
//!
//! Each of these sockets uses memory and a descriptor until it authenticates or its deadline passes.

use crate::domain::address::network;
use crate::domain::limits;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The unauthenticated sockets of this node. A clone shares the same counts.
#[derive(Clone, Debug, Default)]
pub(super) struct UnauthenticatedSockets(Arc<Mutex<SocketCounts>>);

#[derive(Debug, Default)]
struct SocketCounts {
    by_network: HashMap<IpAddr, usize>,
    total: usize,
}

/// The permit to keep one unauthenticated socket open, released when it is dropped.
#[derive(Debug)]
pub struct UnauthenticatedPermit {
    sockets: UnauthenticatedSockets,
    network: IpAddr,
}

impl UnauthenticatedSockets {
    /// Returns a permit for a socket from `addr`, or `None` if the address or the node has reached its limit.
    pub(super) fn acquire(&self, addr: IpAddr) -> Option<UnauthenticatedPermit> {
        let network = network(addr);
        let mut counts = self.counts();
        let from_network = counts.by_network.get(&network).copied().unwrap_or(0);
        if from_network >= limits::UNAUTHENTICATED_SOCKETS_PER_ADDRESS
            || counts.total >= limits::UNAUTHENTICATED_SOCKETS
        {
            return None;
        }
        counts.by_network.insert(network, from_network + 1);
        counts.total += 1;
        Some(UnauthenticatedPermit { sockets: self.clone(), network })
    }

    fn counts(&self) -> MutexGuard<'_, SocketCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnauthenticatedPermit {
    fn drop(&mut self) {
        let mut counts = self.sockets.counts();
        counts.total -= 1;
        match counts.by_network.get_mut(&self.network) {
            Some(from_network) if *from_network > 1 => *from_network -= 1,
            _ => {
                counts.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_bounded_for_an_address_and_for_the_node_and_released_on_drop() {
        let sockets = UnauthenticatedSockets::default();
        let addr = |number: usize| IpAddr::from([10, 0, (number / 256) as u8, (number % 256) as u8]);
        let mut permits: Vec<UnauthenticatedPermit> = (0..limits::UNAUTHENTICATED_SOCKETS_PER_ADDRESS)
            .map(|_| sockets.acquire(addr(0)).expect("the address has permits left"))
            .collect();
        assert!(sockets.acquire(addr(0)).is_none(), "the address has no permit left");
        permits.pop();
        permits.push(sockets.acquire(addr(0)).expect("a permit was released"));
        for number in permits.len()..limits::UNAUTHENTICATED_SOCKETS {
            permits.push(sockets.acquire(addr(number)).expect("another address has permits left"));
        }
        assert!(sockets.acquire(addr(40_000)).is_none(), "the node has no permit left");
        drop(permits);
        assert!(sockets.counts().by_network.is_empty() && sockets.counts().total == 0);
    }
}
