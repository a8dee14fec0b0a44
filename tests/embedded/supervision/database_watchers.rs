//! The tasks that watch the database. Each panics in its work, because a subscriber that it notifies panics or a
//! statement panics. Afterwards it works as before, and it has missed nothing.

use super::tasks::Mine;
use super::{DEADLINE, eventually, expect_failing};
use crate::harness::{TestApp, TestSend, on_each_database, on_sqlite};
use actix::prelude::*;
use greenroom::mailboxes::EndRooms;
use greenroom::protocol::messages::Audience;
use greenroom::realtime::catch_up;
use greenroom::store::db::DbState;
use greenroom::usecases::deletions;
use std::fs;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Wake, Waker};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A waker that calls a function and then panics.
struct Trap<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Wake for Trap<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
        panic!("on purpose");
    }
}

/// Makes the task that ends this wait panic.
fn trap<T>(wait: Pin<&mut impl Future<Output = T>>, first: impl Fn() + Send + Sync + 'static) {
    let waker = Waker::from(Arc::new(Trap(first)));
    assert!(wait.poll(&mut std::task::Context::from_waker(&waker)).is_pending());
}

#[test]
fn the_watch_over_the_database_begins_anew_and_finds_it_back() {
    on_sqlite(&async |test: &TestApp| {
        let (db, file) = (test.app.db(), test.file());
        let aside = file.with_extension("aside");
        let lose = async || {
            fs::rename(&file, &aside).unwrap();
            db.run(async { Ok(()) }).await.unwrap_err();
            assert_eq!(db.state(), DbState::Down);
        };
        lose().await;
        let mut writable = pin!(db.wait_until_writable());
        trap(writable.as_mut(), || ());
        fs::rename(&aside, &file).unwrap();
        expect_failing(&test.app, "database_watch").await;
        lose().await;
        fs::rename(&aside, &file).unwrap();
        test.wait_until_writable().await;
    });
}

#[test]
fn what_tends_the_database_begins_anew_and_goes_on() {
    on_each_database(&async |test: &TestApp| {
        let app = &test.app;
        let mine = Mine::lay(app);
        let users = test.users(1).await;
        let group = test.group(&users).await;
        let said = test.send(TestSend::new(group, &users[0], "hello")).await.unwrap().message.id;
        mine.arm("LEFT JOIN outbox o");
        expect_failing(app, "database_tending").await;
        if !test.is_postgres() {
            // The checkpointer is a part of the database.
            deletions::delete(app, &users[0], group, said, Audience::Everyone).await.unwrap();
            let log = test.file().with_extension("db-wal");
            eventually("an empty log", || log.metadata().unwrap().len() == 0).await;
            let newest = test.rows("SELECT max(id) AS id FROM outbox").await[0].try_get::<i64>("", "id").unwrap();
            let kept = test.file().with_file_name("history");
            let of_newest = format!("{newest} ");
            eventually("the newest row", || fs::read_to_string(&kept).unwrap().starts_with(&of_newest)).await;
        }
        test.run("UPDATE meta SET value = 'another' WHERE key = 'epoch'").await;
        eventually("another epoch", || app.epoch() == "another").await;
    });
}

/// A hub that counts the requests to end all rooms.
struct Rooms(mpsc::UnboundedSender<()>);

impl Actor for Rooms {
    type Context = Context<Self>;
}

impl Handler<EndRooms> for Rooms {
    type Result = ();

    fn handle(&mut self, _: EndRooms, _: &mut Self::Context) {
        let _ = self.0.send(());
    }
}

#[test]
fn whoever_follows_the_history_begins_anew_and_misses_no_change() {
    on_sqlite(&async |test: &TestApp| {
        let app = &test.app;
        let (sender, mut received) = mpsc::unbounded_channel();
        let mut ended = async || timeout(DEADLINE, received.recv()).await.expect("all rooms are to end").unwrap();
        app.spawn(catch_up::end_rooms_on_new_epoch(app.clone(), Rooms(sender).start().recipient()));
        let mut woken = pin!(test.catch_up().woken());
        let owner = app.clone();
        trap(woken.as_mut(), move || owner.db().history().set_epoch("a third"));
        app.db().history().set_epoch("a second");
        ended().await;
        expect_failing(app, "history").await;
        ended().await;
        app.db().history().set_epoch("a fourth");
        ended().await;
    });
}
