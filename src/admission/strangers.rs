//! Sockets that have not said whose they are: each costs memory and a descriptor for as long as it may wait, so there is a
//! bound on them for an address and for the node.

use crate::domain::address::network;
use crate::domain::limits;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many there are, by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Strangers(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    of: HashMap<IpAddr, usize>,
    all: usize,
}

/// A place among them, kept until it is dropped.
#[derive(Debug)]
pub struct Place {
    strangers: Strangers,
    network: IpAddr,
}

impl Strangers {
    /// A place for one from `addr`, if one is left there and on the node.
    pub(super) fn enter(&self, addr: IpAddr) -> Option<Place> {
        let network = network(addr);
        let mut book = self.book();
        let here = book.of.get(&network).copied().unwrap_or(0);
        if here >= limits::STRANGERS_PER_ADDRESS || book.all >= limits::STRANGERS {
            return None;
        }
        book.of.insert(network, here + 1);
        book.all += 1;
        Some(Place { strangers: self.clone(), network })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut book = self.strangers.book();
        book.all -= 1;
        match book.of.get_mut(&self.network) {
            Some(here) if *here > 1 => *here -= 1,
            _ => {
                book.of.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_an_address_and_for_the_node_and_given_back() {
        let strangers = Strangers::default();
        let addr = |number: usize| IpAddr::from([10, 0, (number / 256) as u8, (number % 256) as u8]);
        let mut places: Vec<Place> =
            (0..limits::STRANGERS_PER_ADDRESS).map(|_| strangers.enter(addr(0)).expect("a place")).collect();
        assert!(strangers.enter(addr(0)).is_none(), "its places are taken");
        places.pop();
        places.push(strangers.enter(addr(0)).expect("one was given back"));
        for number in places.len()..limits::STRANGERS {
            places.push(strangers.enter(addr(number)).expect("a place for another address"));
        }
        assert!(strangers.enter(addr(40_000)).is_none(), "the node is full");
        drop(places);
        assert!(strangers.book().of.is_empty() && strangers.book().all == 0);
    }
}
