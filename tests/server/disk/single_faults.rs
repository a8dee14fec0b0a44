//! Single faults of the disk: the first operation of a kind fails, or the second, and so on, counted in each thread.
//! Every connection has a thread, and strace answers the system call with an error without calling the kernel. After
//! the fault the server recovers by itself and is killed, or it is killed immediately. What was acknowledged is stored,
//! once and in order.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::deleted_texts::files_with;
use super::wait_until_recovered;
use crate::support::database::runs_on_postgres;
use crate::support::follower::Follower;
use crate::support::history::{Conversation, Recorder, Row, SendId, check};
use crate::support::user::text;
use crate::support::{Random, TestServer, TestUser, eventually, report_skipped};

/// The names that strace has for writes.
const WRITE: &str = "pwrite64";
/// The names that strace has for syncs.
const SYNC: &str = "fsync,fdatasync";
/// The name that strace has for truncations.
const TRUNCATE: &str = "ftruncate";

/// A strace process that traces a server.
struct Tracer {
    child: Child,
    log: std::path::PathBuf,
}

impl Tracer {
    /// Makes call number `number` of each thread fail. Returns `None` if strace is missing or may not attach.
    fn attach(server: &TestServer, calls: &str, number: u32, log: &Path) -> Option<Self> {
        let mut child = Command::new("strace")
            .args(["-f", "-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error=EIO:when={number}")])
            .args(["-p", &server.process().id().to_string(), "-o", &log.display().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut output = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let attached = output.any(|line| line.contains(" attached"));
        // strace writes a line about every new thread, and would end if its output were not read.
        std::thread::spawn(move || output.for_each(drop));
        if !attached {
            let _ = child.wait();
        }
        attached.then(|| Self { child, log: log.to_owned() })
    }

    /// Ends strace and returns whether a call has failed.
    fn detach(mut self) -> bool {
        let signal = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(signal.is_ok_and(|status| status.success()), "strace gets the signal");
        self.child.wait().expect("strace ends");
        fs::read_to_string(&self.log).expect("the log of strace").contains("(INJECTED)")
    }
}

/// When the server is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum KillTime {
    /// When the server accepts writes again.
    AfterRecovery,
    /// After the first refusal, before the server overwrites what it refused.
    AfterRefusal,
}

/// A server for a sequence of faults, with two users in one group.
struct FaultTest {
    server: TestServer,
    ann: TestUser,
    bob: TestUser,
    group: String,
    random: Random,
}

impl FaultTest {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let [ann, bob] = [server.user("ann").await, server.user("bob").await];
        let group = ann.group("Chess", &[&bob]).await;
        Self { server, ann, bob, group, random: Random::from_environment() }
    }

    /// Returns the greatest seq and the head of the group.
    async fn last_numbers(&self) -> (i64, i64) {
        let group = self.ann.conversation(&self.group).await;
        (group["last_seq"].as_i64().expect("last_seq"), group["last_rev"].as_i64().expect("last_rev"))
    }

    /// Sends a message and returns whether it was acknowledged. A refusal must allow another attempt.
    async fn try_send(&self, recorder: &Recorder, send: SendId, temp_id: &str) -> bool {
        let body = json!({ "content": format!("message {temp_id}"), "temp_id": temp_id });
        let answer = self.ann.post(&format!("/conversations/{}/messages", self.group), body).await;
        if matches!(answer.status, 200 | 201) {
            recorder.add_acknowledgement(send, &answer.body, None);
            return true;
        }
        answer.refused(503, "unavailable");
        false
    }

    /// Records and checks a short history with one fault. Returns whether the fault happened, or `None` if strace
    /// cannot be used.
    async fn run_with_fault(&mut self, calls: &str, number: u32, kill_time: KillTime) -> Option<bool> {
        let text_to_delete = format!("deleted{calls}{number}{kill_time:?}");
        let deleted = text(&self.ann.send(&self.group, &text_to_delete).await["id"]);
        let (first_seq, first_rev) = self.last_numbers().await;
        let recorder = Recorder::default();
        let reader = Follower::new(&self.bob, "bob", &recorder).await;
        let log = self.server.folder().join("strace.log");
        let tracer = Tracer::attach(&self.server, calls, number, &log)?;

        let mut sends = Vec::new();
        for step in 0..5 {
            let temp_id = format!("{calls}-{number}-{step}-{kill_time:?}");
            let send = recorder.add_send(&self.group, &self.ann.id, &temp_id);
            let stored = self.try_send(&recorder, send, &temp_id).await;
            sends.push((send, temp_id));
            if !stored && kill_time == KillTime::AfterRefusal {
                break;
            }
            if step == 2 {
                // The server also commits these calls. Their answers do not matter here.
                self.bob.post_empty(&format!("/conversations/{}/read", self.group)).await;
                let path = format!("/conversations/{}/messages/{deleted}?for=everyone", self.group);
                if self.ann.delete(&path).await.status == 204 {
                    self.wait_for_checkpoint(&text_to_delete).await;
                }
            }
        }
        if kill_time == KillTime::AfterRefusal {
            self.server.kill();
        }
        let injected = tracer.detach();
        if kill_time == KillTime::AfterRecovery {
            wait_until_recovered(&self.server).await;
            self.server.kill();
        }
        self.server.restart().await;

        for (send, temp_id) in &sends {
            assert!(self.try_send(&recorder, *send, temp_id).await, "{temp_id} is stored after the restart");
        }
        self.check_history(&recorder, reader, (first_seq, first_rev)).await;
        Some(injected)
    }

    /// Waits until the checkpoint after a deletion has succeeded or failed. A checkpoint copies and empties the
    /// write-ahead log, which writes, syncs and truncates. The next commit may fill the log again immediately, so the
    /// sign of success is that no file contains the deleted text.
    async fn wait_for_checkpoint(&self, deleted: &str) {
        let failures = || self.server.log().matches("was not checkpointed").count();
        let before = failures();
        let is_done = async || files_with(&self.server, deleted).is_empty() || failures() > before;
        eventually("the log is emptied, or the checkpoint fails", is_done).await;
    }

    /// Reads the whole group again and compares it with the recorded history.
    async fn check_history(&mut self, recorder: &Recorder, mut reader: Follower, (first_seq, first_rev): (i64, i64)) {
        let (last_seq, last_rev) = self.last_numbers().await;
        let socket = reader.connect(&mut self.random).await;
        let reader = reader.finish(socket, &BTreeMap::from([(self.group.clone(), last_rev)]), &mut self.random).await;
        assert_eq!(reader.resets, 0, "the log contains all events");
        let messages: Vec<Value> = self.bob.history(&self.group).await;
        let rows = messages.iter().map(Row::from_message).filter(|row| row.seq > first_seq).collect();
        recorder.add_conversation(&self.group, Conversation { first_seq, first_rev, last_seq, last_rev, rows });
        assert_eq!(check(&recorder.history()), []);
    }
}

#[tokio::test]
async fn a_disk_that_fails_once_loses_nothing_that_was_acknowledged() {
    if runs_on_postgres() {
        return;
    }
    let mut test = FaultTest::start().await;
    for (calls, number) in [(WRITE, 1), (WRITE, 6), (SYNC, 1), (SYNC, 3), (TRUNCATE, 1)] {
        let Some(injected) = test.run_with_fault(calls, number, KillTime::AfterRecovery).await else {
            report_skipped("a disk that fails: strace cannot be used here");
            return;
        };
        assert!(injected, "{calls} {number} happens in the history");
    }
    test.server.stop().await;
}

#[tokio::test]
async fn a_disk_that_fails_before_a_kill_neither_loses_nor_doubles_data() {
    if runs_on_postgres() {
        return;
    }
    let mut test = FaultTest::start().await;
    for (calls, number) in [(SYNC, 1), (SYNC, 2), (SYNC, 3), (WRITE, 2)] {
        let Some(injected) = test.run_with_fault(calls, number, KillTime::AfterRefusal).await else {
            report_skipped("a disk that fails: strace cannot be used here");
            return;
        };
        assert!(injected, "{calls} {number} happens in the history");
    }
    test.server.stop().await;
}

#[tokio::test]
#[ignore = "long: one history for each operation on the disk"]
async fn long_a_disk_that_fails_at_any_operation_loses_nothing_that_was_acknowledged() {
    if runs_on_postgres() {
        return;
    }
    let mut test = FaultTest::start().await;
    for calls in [WRITE, SYNC, TRUNCATE] {
        for number in 1.. {
            match test.run_with_fault(calls, number, KillTime::AfterRecovery).await {
                Some(true) => {}
                Some(false) => {
                    eprintln!("{calls}: {} operations failed in turn", number - 1);
                    break;
                }
                None => return report_skipped("a disk that fails: strace cannot be used here"),
            }
        }
    }
    test.server.stop().await;
}
