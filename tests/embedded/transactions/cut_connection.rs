//! A proxy in front of PostgreSQL that can cut a connection: before a request arrives, or after it was executed and
//! before the answer. In the second case the client cannot know whether its commit happened.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The time of the cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CutPlan {
    Never,
    /// Instead of passing on the n-th request from now; 1 is the next.
    Before(u32),
    /// Instead of passing on the next commit.
    BeforeCommit,
    /// After the next commit was executed.
    AfterCommit,
}

/// The proxy. All its connections share one plan, which ends with one cut.
#[derive(Clone)]
pub struct CuttingProxy {
    plan: Arc<Mutex<CutPlan>>,
    /// A client learns of a cut after its commit only when nobody holds this lock.
    notice: Arc<tokio::sync::Mutex<()>>,
}

#[derive(PartialEq, Eq)]
enum Action {
    Pass,
    Cut,
    PassAndCut,
}

impl CuttingProxy {
    /// Creates a proxy that cuts no connection.
    pub fn new() -> Self {
        Self { plan: Arc::new(Mutex::new(CutPlan::Never)), notice: Arc::default() }
    }

    /// Starts to listen, and returns the address of the database at `url` through this proxy.
    pub fn to(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let proxy = self.clone();
        // The proxy listens until the test program ends.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (proxy, server) = (proxy.clone(), TcpStream::connect(&server).unwrap());
                thread::spawn(move || proxy.forward(client, server));
            }
        });
        url.into()
    }

    /// Sets the plan for the next cut.
    pub fn plan(&self, plan: CutPlan) {
        *self.plan.lock().unwrap() = plan;
    }

    /// Returns true if the cut of the plan has happened.
    pub fn is_cut(&self) -> bool {
        *self.plan.lock().unwrap() == CutPlan::Never
    }

    /// As long as the guard lives, a client whose commit was executed waits for the answer and does not see the cut.
    pub async fn delay_notice(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.notice.clone().lock_owned().await
    }

    fn forward(&self, mut client: TcpStream, mut server: TcpStream) {
        let drops_answers = Arc::new(AtomicBool::new(false));
        let answers = {
            let (drops_answers, notice) = (drops_answers.clone(), self.notice.clone());
            let (mut client, mut server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(length @ 1..) = server.read(&mut buffer) {
                    if drops_answers.load(Ordering::SeqCst) {
                        drop(notice.blocking_lock());
                        break;
                    }
                    if client.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
            })
        };
        // A client writes one request and waits, so one read returns one request.
        let mut buffer = vec![0; 1 << 20];
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            let action = self.next_action(&buffer[..length]);
            if action == Action::Cut {
                break;
            }
            drops_answers.store(action == Action::PassAndCut, Ordering::SeqCst);
            if server.write_all(&buffer[..length]).is_err() {
                break;
            }
            if action == Action::PassAndCut {
                // The first byte of the answer shows that the commit has ended.
                let _ = answers.join();
                let _ = server.shutdown(Shutdown::Both);
                return;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
    }

    fn next_action(&self, request: &[u8]) -> Action {
        let mut plan = self.plan.lock().unwrap();
        let is_commit = request.windows(6).any(|word| word == b"COMMIT");
        let (next, action) = match *plan {
            CutPlan::Before(1) => (CutPlan::Never, Action::Cut),
            CutPlan::Before(count) => (CutPlan::Before(count - 1), Action::Pass),
            CutPlan::BeforeCommit if is_commit => (CutPlan::Never, Action::Cut),
            CutPlan::AfterCommit if is_commit => (CutPlan::Never, Action::PassAndCut),
            same => (same, Action::Pass),
        };
        *plan = next;
        action
    }
}
