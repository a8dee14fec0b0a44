//! The disk fails at the first operation of a kind, at the second, and so on, as seen by each thread, of which every
//! connection has one: strace answers the call with an error and the kernel never sees it. Then the server is killed.
//! What was acknowledged is stored, once and in order, and the server takes writes again by itself before.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::deleted_texts::files_with;
use super::takes_writes_again;
use crate::support::database::runs_on_postgres;
use crate::support::follower::Follower;
use crate::support::history::{Conversation, Recorder, Row, SendId, check};
use crate::support::user::text;
use crate::support::{Random, TestServer, TestUser, eventually, leave_out};

/// The kinds of operations, in the words of strace.
const WRITE: &str = "pwrite64";
const SYNC: &str = "fsync,fdatasync";
const TRUNCATE: &str = "ftruncate";

/// strace at work on a server.
struct Tracer {
    child: Child,
    log: std::path::PathBuf,
}

impl Tracer {
    /// Has the so-many-th call of each thread fail; none where strace is missing or may not attach.
    fn attach(server: &TestServer, calls: &str, number: u32, log: &Path) -> Option<Self> {
        let mut child = Command::new("strace")
            .args(["-f", "-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error=EIO:when={number}")])
            .args(["-p", &server.process().id().to_string(), "-o", &log.display().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let attached = said.any(|line| line.contains(" attached"));
        // it speaks of every new thread, and would end if nobody listened
        std::thread::spawn(move || said.for_each(drop));
        if !attached {
            let _ = child.wait();
        }
        attached.then(|| Self { child, log: log.to_owned() })
    }

    /// Lets the server go; true if a call has failed.
    fn detach(mut self) -> bool {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "strace is asked to end");
        self.child.wait().expect("strace ends");
        fs::read_to_string(&self.log).expect("its log").contains("(INJECTED)")
    }
}

/// When the server is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Killed {
    Recovered,
    AtOnce,
}

/// One server that goes through fault after fault.
struct Victim {
    server: TestServer,
    ann: TestUser,
    bob: TestUser,
    room: String,
    random: Random,
}

impl Victim {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let [ann, bob] = [server.user("ann").await, server.user("bob").await];
        let room = ann.group("room", &[&bob]).await;
        Self { server, ann, bob, room, random: Random::from_environment() }
    }

    async fn stand(&self) -> (i64, i64) {
        let room = self.ann.conversation(&self.room).await;
        (room["last_seq"].as_i64().expect("last_seq"), room["last_rev"].as_i64().expect("last_rev"))
    }

    /// True when the message is acknowledged; a refusal says that it may be tried again.
    async fn put(&self, recorder: &Recorder, send: SendId, temp_id: &str) -> bool {
        let body = json!({ "content": format!("message {temp_id}"), "temp_id": temp_id });
        let answer = self.ann.post(&format!("/conversations/{}/messages", self.room), body).await;
        if matches!(answer.status, 200 | 201) {
            recorder.stored(send, &answer.body, None);
            return true;
        }
        answer.refused(503, "unavailable");
        false
    }

    /// A short history with one fault in it; true if there was one, none where strace cannot be used. The server is
    /// killed when it takes writes again, or right after the first refusal, before anything is written over what was
    /// refused.
    async fn survives(&mut self, calls: &str, number: u32, killed: Killed) -> Option<bool> {
        let word = format!("doomed{calls}{number}{killed:?}");
        let doomed = text(&self.ann.send(&self.room, &word).await["id"]);
        let (first_seq, first_rev) = self.stand().await;
        let recorder = Recorder::default();
        let reader = Follower::new(&self.bob, "bob", &recorder).await;
        let log = self.server.folder().join("strace.log");
        let tracer = Tracer::attach(&self.server, calls, number, &log)?;

        let mut sends = Vec::new();
        for step in 0..5 {
            let temp_id = format!("{calls}-{number}-{step}-{killed:?}");
            let send = recorder.invoke(&self.room, &self.ann.id, &temp_id);
            let stored = self.put(&recorder, send, &temp_id).await;
            sends.push((send, temp_id));
            if !stored && killed == Killed::AtOnce {
                break;
            }
            if step == 2 {
                // these commit as well; what becomes of them does not matter here
                self.bob.post_nothing(&format!("/conversations/{}/read", self.room)).await;
                let path = format!("/conversations/{}/messages/{doomed}?for=everyone", self.room);
                if self.ann.delete(&path).await.status == 204 {
                    self.checkpointed(&word).await;
                }
            }
        }
        if killed == Killed::AtOnce {
            self.server.kill_nine();
        }
        let injected = tracer.detach();
        if killed == Killed::Recovered {
            takes_writes_again(&self.server).await;
            self.server.kill_nine();
        }
        self.server.restart().await;

        for (send, temp_id) in &sends {
            assert!(self.put(&recorder, *send, temp_id).await, "{temp_id}: nothing fails any more");
        }
        self.judge(&recorder, reader, (first_seq, first_rev)).await;
        Some(injected)
    }

    /// After a deletion the log is copied and emptied, which writes, syncs and truncates; waits until it was, or
    /// failed. The next commit may fill it again before anybody looks, so what tells is that the deleted text is gone.
    async fn checkpointed(&self, deleted: &str) {
        let failures = || self.server.log().matches("was not checkpointed").count();
        let before = failures();
        let tried = async || files_with(&self.server, deleted).is_empty() || failures() > before;
        eventually("the log is emptied, or that has failed", tried).await;
    }

    async fn judge(&mut self, recorder: &Recorder, mut reader: Follower, (first_seq, first_rev): (i64, i64)) {
        let (last_seq, last_rev) = self.stand().await;
        let socket = reader.connect(&mut self.random).await;
        let reader = reader.finish(socket, &BTreeMap::from([(self.room.clone(), last_rev)]), &mut self.random).await;
        assert_eq!(reader.resets, 0, "the log reaches back");
        let messages: Vec<Value> = self.bob.history(&self.room).await;
        let rows = messages.iter().map(Row::from_message).filter(|row| row.seq > first_seq).collect();
        recorder.conversation(&self.room, Conversation { first_seq, first_rev, last_seq, last_rev, rows });
        assert_eq!(check(&recorder.history()), []);
    }
}

#[tokio::test]
async fn a_disk_that_fails_once_loses_nothing_that_was_acknowledged() {
    if runs_on_postgres() {
        return;
    }
    let mut victim = Victim::start().await;
    for (calls, number) in [(WRITE, 1), (WRITE, 6), (SYNC, 1), (SYNC, 3), (TRUNCATE, 1)] {
        let Some(injected) = victim.survives(calls, number, Killed::Recovered).await else {
            leave_out("a disk that fails: strace cannot be used here");
            return;
        };
        assert!(injected, "{calls} {number} happens in the history");
    }
    victim.server.stop().await;
}

#[tokio::test]
async fn a_disk_that_fails_before_a_kill_loses_and_doubles_nothing() {
    if runs_on_postgres() {
        return;
    }
    let mut victim = Victim::start().await;
    for (calls, number) in [(SYNC, 1), (SYNC, 2), (SYNC, 3), (WRITE, 2)] {
        let Some(injected) = victim.survives(calls, number, Killed::AtOnce).await else {
            leave_out("a disk that fails: strace cannot be used here");
            return;
        };
        assert!(injected, "{calls} {number} happens in the history");
    }
    victim.server.stop().await;
}

#[tokio::test]
#[ignore = "long: a history for each operation on the disk"]
async fn long_a_disk_that_fails_at_any_operation_loses_nothing_that_was_acknowledged() {
    if runs_on_postgres() {
        return;
    }
    let mut victim = Victim::start().await;
    for calls in [WRITE, SYNC, TRUNCATE] {
        for number in 1.. {
            match victim.survives(calls, number, Killed::Recovered).await {
                Some(true) => {}
                Some(false) => {
                    eprintln!("{calls}: {} operations failed in turn", number - 1);
                    break;
                }
                None => return leave_out("a disk that fails: strace cannot be used here"),
            }
        }
    }
    victim.server.stop().await;
}
