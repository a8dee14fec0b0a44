//! The queue of writes is fair by user and charged by the rows they touch: whoever makes one large group after another
//! waits behind everybody who changes a row.

use crate::inside::{Inside, Post, new_group, on_each_database};
use greenroom::domain::codes::Code;
use greenroom::domain::limits;
use greenroom::store::gate::Account;
use greenroom::usecases::marks::{self, Target};
use greenroom::usecases::{groups, logins, pins};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Groups that wait to be made, and members of each.
const GROUPS: usize = 30;
const MEMBERS: usize = 200;

#[test]
fn making_large_groups_starves_nobody() {
    on_each_database(&async |inside: &Inside| {
        let app = &inside.app;
        let [flooder, one, other] = inside.users(3).await[..] else { unreachable!() };
        let crowd = inside.users(MEMBERS).await;
        let talk = inside.group(&[one, other]).await;
        let said = inside.send(Post::new(talk, &other, "hello")).await.unwrap().message.id;
        let made = Arc::new(AtomicUsize::new(0));
        let mut flood = Vec::new();
        for _ in 0..GROUPS {
            let (app, made, group) = (app.clone(), made.clone(), new_group(&crowd));
            flood.push(tokio::spawn(async move {
                let outcome = groups::group(&app, &flooder, group).await;
                made.fetch_add(1, Ordering::SeqCst);
                outcome
            }));
        }
        let started = std::time::Instant::now();
        while made.load(Ordering::SeqCst) == 0 {
            assert!(started.elapsed() < Duration::from_mins(1), "no group is made");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        marks::read(app, &one, talk, Target::End).await.unwrap();
        logins::issue(app, one.user_id, "a test", "127.0.0.1").await.unwrap();
        pins::add(app, &one, talk, said).await.unwrap();
        inside.send(Post::new(talk, &one, "hello")).await.unwrap();
        let before = made.load(Ordering::SeqCst);
        assert!(before < GROUPS / 2, "{before} of {GROUPS} groups came before the work of others");
        for group in flood {
            // a group that did not get its turn in time was refused; its maker has had more than others
            if let Err(refused) = group.await.unwrap() {
                assert_eq!(refused.code(), Code::Busy, "{refused}");
            }
        }
    });
}

#[test]
fn one_user_waits_with_so_many_changes_and_no_more() {
    on_each_database(&async |inside: &Inside| {
        let [greedy, modest] = inside.users(2).await[..] else { unreachable!() };
        let (db, greedy) = (inside.app.db(), Account::User(greedy.user_id));
        let all = std::iter::repeat_with(|| db.turn_of(greedy, 1)).take(limits::WRITES_PER_USER);
        let mut all = std::pin::pin!(futures_util::future::join_all(all));
        assert!(futures_util::poll!(&mut all).is_pending());
        let refused = db.turn_of(greedy, 1).await.err().expect("one more is too much");
        assert_eq!(refused.code(), Code::Busy, "{refused}");
        let mut other = std::pin::pin!(db.turn_of(Account::User(modest.user_id), 1));
        assert!(futures_util::poll!(&mut other).is_pending(), "others wait, and are not refused");
    });
}
