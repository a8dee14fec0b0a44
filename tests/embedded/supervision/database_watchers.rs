//! Panics of the tasks that watch the database: a subscriber that the task notifies panics, or a statement panics.
//! Afterwards the task works as before, and it has missed no change.

use super::tasks::PanickingStatements;
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
struct PanickingWaker<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Wake for PanickingWaker<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
        panic!("on purpose");
    }
}

/// Makes the task panic that ends this wait. It calls `before` first.
fn panic_at_end_of<T>(wait: Pin<&mut impl Future<Output = T>>, before: impl Fn() + Send + Sync + 'static) {
    let waker = Waker::from(Arc::new(PanickingWaker(before)));
    assert!(wait.poll(&mut std::task::Context::from_waker(&waker)).is_pending());
}

#[test]
fn the_database_watch_restarts_and_finds_the_database_again() {
    on_sqlite(&async |test: &TestApp| {
        let (db, file) = (test.app.db(), test.file());
        let moved_file = file.with_extension("moved");
        let lose_database = async || {
            fs::rename(&file, &moved_file).unwrap();
            db.run(async { Ok(()) }).await.unwrap_err();
            assert_eq!(db.state(), DbState::Down);
        };
        lose_database().await;
        let mut writable = pin!(db.wait_until_writable());
        panic_at_end_of(writable.as_mut(), || ());
        fs::rename(&moved_file, &file).unwrap();
        expect_failing(&test.app, "database_watch").await;
        lose_database().await;
        fs::rename(&moved_file, &file).unwrap();
        test.wait_until_writable().await;
    });
}

#[test]
fn the_maintenance_of_the_database_restarts_and_continues() {
    on_each_database(&async |test: &TestApp| {
        let app = &test.app;
        let panics = PanickingStatements::install(app);
        let users = test.users(1).await;
        let group = test.group(&users).await;
        let message = test.send(TestSend::new(group, &users[0], "hello")).await.unwrap().message.id;
        panics.at_next("LEFT JOIN outbox o");
        expect_failing(app, "database_maintenance").await;
        if !test.is_postgres() {
            // The checkpointer empties the write-ahead log after a deletion.
            deletions::delete(app, &users[0], group, message, Audience::Everyone).await.unwrap();
            let log = test.file().with_extension("db-wal");
            eventually("an empty write-ahead log", || log.metadata().unwrap().len() == 0).await;
            let newest = test.rows("SELECT max(id) AS id FROM outbox").await[0].try_get::<i64>("", "id").unwrap();
            let history_file = test.file().with_file_name("history");
            let of_newest = format!("{newest} ");
            eventually("the newest row", || fs::read_to_string(&history_file).unwrap().starts_with(&of_newest)).await;
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
fn the_task_that_follows_the_history_restarts_and_misses_no_change() {
    on_sqlite(&async |test: &TestApp| {
        let app = &test.app;
        let (sender, mut received) = mpsc::unbounded_channel();
        let mut ended = async || timeout(DEADLINE, received.recv()).await.expect("all rooms are to end").unwrap();
        app.spawn(catch_up::end_rooms_on_new_epoch(app.clone(), Rooms(sender).start().recipient()));
        let mut woken = pin!(test.catch_up_schedule().woken());
        let owner = app.clone();
        panic_at_end_of(woken.as_mut(), move || owner.db().history().set_epoch("a third"));
        app.db().history().set_epoch("a second");
        ended().await;
        expect_failing(app, "history").await;
        ended().await;
        app.db().history().set_epoch("a fourth");
        ended().await;
    });
}
