//! What an attempt at a password may do, and when.

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

fn book() -> Arc<AttemptBook> {
    Arc::new(AttemptBook::new(10))
}

fn other_address(number: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, number])
}

/// An attempt at an account, of which is told at once whose it is.
fn turn(
    book: &Arc<AttemptBook>,
    account: Account,
    address: IpAddr,
    known: Known,
    now: Instant,
) -> Turn<Option<Places>> {
    let mut places = match book.enter(account, address, known, now) {
        Turn::Taken(Some(places)) => places,
        other => return other,
    };
    match places.enter(account, known, now) {
        Turn::Taken(()) => Turn::Taken(Some(places)),
        Turn::Wait => Turn::Wait,
        Turn::Ask => Turn::Ask,
        Turn::Refused(wait) => Turn::Refused(wait),
    }
}

/// What a wrong guess meets: whether it was tried.
fn guess(book: &Arc<AttemptBook>, account: Account, address: IpAddr, known: Known, now: Instant) -> bool {
    match turn(book, account, address, known, now) {
        Turn::Taken(places) => {
            places.expect("there are limits").wrong(now);
            true
        }
        Turn::Refused(_) => false,
        Turn::Wait => panic!("nobody else is being hashed"),
        Turn::Ask => panic!("it was asked"),
    }
}

#[test]
fn an_account_is_guessed_at_five_times_a_minute_from_an_address_and_an_address_ten_times() {
    let (book, now) = (book(), Instant::now());
    let somebody = Account::Of(UserId::new());
    let tried = (0..100).filter(|_| guess(&book, somebody, HERE, Known::No, now)).count();
    assert_eq!(tried, 5);
    let tried = (0..100).filter(|n| guess(&book, book.named(&n.to_string()), HERE, Known::No, now)).count();
    assert_eq!(tried, 5, "ten with those of before");
    assert!(guess(&book, Account::Of(UserId::new()), other_address(1), Known::No, now));
    let later = now + MINUTE;
    assert!(guess(&book, somebody, HERE, Known::No, later));
}

#[test]
fn a_name_that_nobody_has_counts_however_it_is_written() {
    let book = book();
    assert_eq!(book.named("Ada"), book.named(" ada"));
    assert_ne!(book.named("ada"), book.named("bob"));
}

#[test]
fn who_is_known_at_an_address_is_tried_there_when_it_has_none_left() {
    let (book, now) = (book(), Instant::now());
    for number in 0..10 {
        assert!(guess(&book, book.named(&number.to_string()), HERE, Known::No, now));
    }
    let somebody = Account::Of(UserId::new());
    assert!(matches!(turn(&book, somebody, HERE, Known::Unasked, now), Turn::Ask));
    assert!(matches!(turn(&book, somebody, HERE, Known::No, now), Turn::Refused(wait) if wait == MINUTE));
    assert!(matches!(turn(&book, somebody, HERE, Known::Yes, now), Turn::Taken(Some(_))));
    let tried = (0..100).filter(|_| guess(&book, somebody, HERE, Known::Yes, now)).count();
    assert_eq!(tried, 5, "and no more often than elsewhere");
}

#[test]
fn after_a_hundred_wrong_ones_from_anywhere_only_known_addresses_try_an_account() {
    let (book, now) = (book(), Instant::now());
    let somebody = Account::Of(UserId::new());
    let tried = (0..200).filter(|n| guess(&book, somebody, other_address(*n), Known::No, now)).count();
    assert_eq!(tried, 100);
    assert!(matches!(turn(&book, somebody, HERE, Known::Unasked, now), Turn::Ask));
    assert!(guess(&book, somebody, HERE, Known::Yes, now));
    assert!(guess(&book, Account::Of(UserId::new()), HERE, Known::No, now));
    assert!(guess(&book, somebody, HERE, Known::No, now + HOUR));
}

#[test]
fn places_held_by_what_is_being_hashed_make_wait_and_do_not_refuse() {
    let (book, now) = (book(), Instant::now());
    let somebody = Account::Of(UserId::new());
    let mut held: Vec<_> = (0..5)
        .map(|_| match turn(&book, somebody, HERE, Known::Unasked, now) {
            Turn::Taken(Some(places)) => places,
            _ => panic!("there is room"),
        })
        .collect();
    assert!(matches!(turn(&book, somebody, HERE, Known::Unasked, now), Turn::Wait));
    // a right answer gives its place back
    held.pop();
    let sixth = turn(&book, somebody, HERE, Known::Unasked, now);
    assert!(matches!(sixth, Turn::Taken(Some(_))));
    drop(sixth);
    for places in held {
        places.wrong(now);
    }
    assert!(guess(&book, somebody, HERE, Known::Unasked, now));
    assert!(matches!(turn(&book, somebody, HERE, Known::Unasked, now), Turn::Refused(_)));
}

#[test]
fn nothing_is_limited_where_the_operator_says_so() {
    let book = Arc::new(AttemptBook::new(0));
    let somebody = Account::Of(UserId::new());
    for _ in 0..1000 {
        assert!(matches!(turn(&book, somebody, HERE, Known::Unasked, Instant::now()), Turn::Taken(None)));
    }
}

#[test]
fn an_address_without_places_is_asked_once_who_is_known_there() {
    let (book, now) = (book(), Instant::now());
    for number in 0..10 {
        assert!(guess(&book, book.named(&number.to_string()), HERE, Known::Unasked, now));
    }
    let (ada, id) = (book.named("Ada"), UserId::new());
    assert!(matches!(turn(&book, ada, HERE, Known::Unasked, now), Turn::Ask));
    let here = book.here(HERE, now);
    assert!(Arc::ptr_eq(&here, &book.here(HERE, now)), "whoever comes meanwhile waits for it");
    assert!(here.set(Here::from([Account::Of(id), book.named("ada")])).is_ok());
    for number in 0..1000 {
        assert!(matches!(turn(&book, book.named(&number.to_string()), HERE, Known::Unasked, now), Turn::Refused(_)));
    }
    assert!(matches!(turn(&book, ada, HERE, Known::Unasked, now), Turn::Taken(Some(places)) if places.is_known()));
    book.signed_in(id, HERE);
    assert!(matches!(turn(&book, ada, HERE, Known::Unasked, now), Turn::Taken(_)), "nothing new");
    book.signed_in(UserId::new(), HERE);
    assert!(matches!(turn(&book, ada, HERE, Known::Unasked, now), Turn::Ask), "there is one more");
    assert!(here.set(Here::new()).is_err());
    assert!(matches!(turn(&book, ada, HERE, Known::Unasked, now + FRESH), Turn::Ask));
}

#[test]
fn a_name_that_was_refused_is_not_looked_up_again_before_its_time() {
    let (book, now) = (book(), Instant::now());
    let (account, email) = (Account::Of(UserId::new()), book.named("ada@example.org"));
    for _ in 0..5 {
        assert!(guess(&book, account, HERE, Known::Unasked, now));
    }
    let Turn::Taken(Some(mut places)) = book.enter(email, HERE, Known::Unasked, now) else {
        panic!("not looked up yet")
    };
    assert!(matches!(places.enter(account, Known::Unasked, now), Turn::Refused(_)));
    drop(places);
    assert!(matches!(book.enter(email, HERE, Known::Unasked, now), Turn::Refused(wait) if wait == MINUTE));
    assert!(matches!(book.enter(email, other_address(1), Known::Unasked, now), Turn::Taken(_)));
    assert!(matches!(book.enter(email, HERE, Known::Unasked, now + MINUTE), Turn::Taken(_)));
}
