//! Tests of the limits on password attempts.

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

fn attempts() -> Arc<PasswordLimits> {
    Arc::new(PasswordLimits::new(10))
}

fn other_address(number: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, number])
}

/// Acquires all permits of an attempt. The requested target and the account are the same.
fn acquire(
    attempts: &Arc<PasswordLimits>,
    account: PasswordTarget,
    address: IpAddr,
    known: KnownAtAddress,
    now: Instant,
) -> AttemptDecision<Option<AttemptPermits>> {
    let mut permits = match attempts.acquire_address_permit(account, address, known, now) {
        AttemptDecision::Proceed(Some(permits)) => permits,
        other => return other,
    };
    match permits.acquire_account_permits(account, known, now) {
        AttemptDecision::Proceed(()) => AttemptDecision::Proceed(Some(permits)),
        AttemptDecision::Wait => AttemptDecision::Wait,
        AttemptDecision::CheckAddress => AttemptDecision::CheckAddress,
        AttemptDecision::Refuse(wait) => AttemptDecision::Refuse(wait),
    }
}

/// Makes an attempt with a wrong password. Returns false if it was refused.
fn guess(
    attempts: &Arc<PasswordLimits>,
    account: PasswordTarget,
    address: IpAddr,
    known: KnownAtAddress,
    now: Instant,
) -> bool {
    match acquire(attempts, account, address, known, now) {
        AttemptDecision::Proceed(permits) => {
            permits.expect("the limits are on").count_wrong(now);
            true
        }
        AttemptDecision::Refuse(_) => false,
        AttemptDecision::Wait => panic!("no other attempt is being hashed"),
        AttemptDecision::CheckAddress => panic!("the call says whether the account is known"),
    }
}

#[test]
fn an_account_has_five_guesses_a_minute_from_an_address_and_an_address_has_ten() {
    let (attempts, now) = (attempts(), Instant::now());
    let account = PasswordTarget::User(UserId::new());
    let tried = (0..100).filter(|_| guess(&attempts, account, HERE, KnownAtAddress::No, now)).count();
    assert_eq!(tried, 5);
    let guess_name =
        |n: &i32| guess(&attempts, attempts.target_for_name(&n.to_string()), HERE, KnownAtAddress::No, now);
    let tried = (0..100).filter(guess_name).count();
    assert_eq!(tried, 5, "together with the five guesses before, these are ten");
    assert!(guess(&attempts, PasswordTarget::User(UserId::new()), other_address(1), KnownAtAddress::No, now));
    let later = now + MINUTE;
    assert!(guess(&attempts, account, HERE, KnownAtAddress::No, later));
}

#[test]
fn a_name_has_one_target_in_every_spelling() {
    let attempts = attempts();
    assert_eq!(attempts.target_for_name("Ada"), attempts.target_for_name(" ada"));
    assert_ne!(attempts.target_for_name("ada"), attempts.target_for_name("bob"));
}

#[test]
fn a_known_account_can_be_tried_from_an_address_without_permits() {
    let (attempts, now) = (attempts(), Instant::now());
    for number in 0..10 {
        assert!(guess(&attempts, attempts.target_for_name(&number.to_string()), HERE, KnownAtAddress::No, now));
    }
    let account = PasswordTarget::User(UserId::new());
    let attempt = |known| acquire(&attempts, account, HERE, known, now);
    assert!(matches!(attempt(KnownAtAddress::NotChecked), AttemptDecision::CheckAddress));
    assert!(matches!(attempt(KnownAtAddress::No), AttemptDecision::Refuse(wait) if wait == MINUTE));
    assert!(matches!(attempt(KnownAtAddress::Yes), AttemptDecision::Proceed(Some(_))));
    let tried = (0..100).filter(|_| guess(&attempts, account, HERE, KnownAtAddress::Yes, now)).count();
    assert_eq!(tried, 5, "the limit of the account applies as at any other address");
}

#[test]
fn after_a_hundred_wrong_passwords_only_known_addresses_can_try_an_account() {
    let (attempts, now) = (attempts(), Instant::now());
    let account = PasswordTarget::User(UserId::new());
    let guess_from = |n: &u8| guess(&attempts, account, other_address(*n), KnownAtAddress::No, now);
    let tried = (0..200).filter(guess_from).count();
    assert_eq!(tried, 100);
    let not_checked = acquire(&attempts, account, HERE, KnownAtAddress::NotChecked, now);
    assert!(matches!(not_checked, AttemptDecision::CheckAddress));
    assert!(guess(&attempts, account, HERE, KnownAtAddress::Yes, now));
    assert!(guess(&attempts, PasswordTarget::User(UserId::new()), HERE, KnownAtAddress::No, now));
    assert!(guess(&attempts, account, HERE, KnownAtAddress::No, now + HOUR));
}

#[test]
fn an_attempt_waits_for_permits_that_others_hold_and_is_not_refused() {
    let (attempts, now) = (attempts(), Instant::now());
    let account = PasswordTarget::User(UserId::new());
    let attempt = || acquire(&attempts, account, HERE, KnownAtAddress::NotChecked, now);
    let mut held: Vec<_> = (0..5)
        .map(|_| match attempt() {
            AttemptDecision::Proceed(Some(permits)) => permits,
            _ => panic!("five permits are free"),
        })
        .collect();
    assert!(matches!(attempt(), AttemptDecision::Wait));
    // An attempt with the right password returns its permits.
    held.pop();
    let sixth = attempt();
    assert!(matches!(sixth, AttemptDecision::Proceed(Some(_))));
    drop(sixth);
    for permits in held {
        permits.count_wrong(now);
    }
    assert!(guess(&attempts, account, HERE, KnownAtAddress::NotChecked, now));
    assert!(matches!(attempt(), AttemptDecision::Refuse(_)));
}

#[test]
fn a_setting_of_zero_turns_the_limits_on_attempts_off() {
    let attempts = Arc::new(PasswordLimits::new(0));
    let account = PasswordTarget::User(UserId::new());
    for _ in 0..1000 {
        let decision = acquire(&attempts, account, HERE, KnownAtAddress::NotChecked, Instant::now());
        assert!(matches!(decision, AttemptDecision::Proceed(None)));
    }
}

#[test]
fn the_known_accounts_of_an_address_without_permits_are_read_once() {
    let (attempts, now) = (attempts(), Instant::now());
    for number in 0..10 {
        assert!(guess(&attempts, attempts.target_for_name(&number.to_string()), HERE, KnownAtAddress::NotChecked, now));
    }
    let attempt = |target, now| acquire(&attempts, target, HERE, KnownAtAddress::NotChecked, now);
    let (ada, id) = (attempts.target_for_name("Ada"), UserId::new());
    assert!(matches!(attempt(ada, now), AttemptDecision::CheckAddress));
    let known = attempts.known_targets(HERE, now);
    assert!(Arc::ptr_eq(&known, &attempts.known_targets(HERE, now)), "a second call waits for the same read");
    assert!(known.set(KnownTargets::from([PasswordTarget::User(id), attempts.target_for_name("ada")])).is_ok());
    for number in 0..1000 {
        let unknown = attempts.target_for_name(&number.to_string());
        assert!(matches!(attempt(unknown, now), AttemptDecision::Refuse(_)));
    }
    let decision = attempt(ada, now);
    assert!(matches!(decision, AttemptDecision::Proceed(Some(permits)) if permits.is_known_at_address()));
    attempts.note_sign_in(id, HERE);
    assert!(matches!(attempt(ada, now), AttemptDecision::Proceed(_)), "the user was known already");
    attempts.note_sign_in(UserId::new(), HERE);
    assert!(matches!(attempt(ada, now), AttemptDecision::CheckAddress), "another user is known now");
    assert!(known.set(KnownTargets::new()).is_err());
    assert!(matches!(attempt(ada, now + KNOWN_TARGETS_LIFETIME), AttemptDecision::CheckAddress));
}

#[test]
fn a_refused_name_is_not_looked_up_again_until_its_wait_is_over() {
    let (attempts, now) = (attempts(), Instant::now());
    let (account, email) = (PasswordTarget::User(UserId::new()), attempts.target_for_name("ada@example.org"));
    for _ in 0..5 {
        assert!(guess(&attempts, account, HERE, KnownAtAddress::NotChecked, now));
    }
    let attempt = |address, now| attempts.acquire_address_permit(email, address, KnownAtAddress::NotChecked, now);
    let AttemptDecision::Proceed(Some(mut permits)) = attempt(HERE, now) else {
        panic!("the name was not looked up yet")
    };
    let refused = permits.acquire_account_permits(account, KnownAtAddress::NotChecked, now);
    assert!(matches!(refused, AttemptDecision::Refuse(_)));
    drop(permits);
    assert!(matches!(attempt(HERE, now), AttemptDecision::Refuse(wait) if wait == MINUTE));
    assert!(matches!(attempt(other_address(1), now), AttemptDecision::Proceed(_)));
    assert!(matches!(attempt(HERE, now + MINUTE), AttemptDecision::Proceed(_)));
}
