//! A wire to PostgreSQL that can be cut: before a request arrives, or after it was obeyed and before the answer is back.
//! Only so does a client come not to know whether its commit happened.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// When to cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plan {
    /// Never.
    Whole,
    /// Instead of passing on the so-many-th request from now, 1 being the next.
    Before(u32),
    /// Instead of passing on the next commit.
    BeforeCommit,
    /// After the next commit was obeyed.
    AfterCommit,
}

/// The wire; every connection through it follows the one plan, which is spent by one cut.
#[derive(Clone)]
pub struct Wire(Arc<Mutex<Plan>>);

#[derive(PartialEq, Eq)]
enum Order {
    Pass,
    Cut,
    PassAndCut,
}

impl Wire {
    /// A whole one.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Plan::Whole)))
    }

    /// The address at which the database at `url` is reached through this wire.
    pub fn to(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let wire = self.clone();
        // it listens until the test program ends
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (wire, server) = (wire.clone(), TcpStream::connect(&server).unwrap());
                thread::spawn(move || wire.carry(client, server));
            }
        });
        url.into()
    }

    /// Cuts as the plan says, once.
    pub fn plan(&self, plan: Plan) {
        *self.0.lock().unwrap() = plan;
    }

    /// Whether the plan is spent.
    pub fn is_cut(&self) -> bool {
        *self.0.lock().unwrap() == Plan::Whole
    }

    fn carry(&self, mut client: TcpStream, mut server: TcpStream) {
        let mute = Arc::new(AtomicBool::new(false));
        let answers = {
            let (mute, mut client, mut server) =
                (mute.clone(), client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(length @ 1..) = server.read(&mut buffer) {
                    if mute.load(Ordering::SeqCst) || client.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
            })
        };
        // a client writes one request and waits, so what is read at once is one request
        let mut buffer = vec![0; 1 << 20];
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            let order = self.order(&buffer[..length]);
            if order == Order::Cut {
                break;
            }
            mute.store(order == Order::PassAndCut, Ordering::SeqCst);
            if server.write_all(&buffer[..length]).is_err() {
                break;
            }
            if order == Order::PassAndCut {
                // the first byte of the answer says that the commit is done
                let _ = answers.join();
                let _ = server.shutdown(Shutdown::Both);
                return;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
    }

    fn order(&self, request: &[u8]) -> Order {
        let mut plan = self.0.lock().unwrap();
        let commits = request.windows(6).any(|word| word == b"COMMIT");
        let (next, order) = match *plan {
            Plan::Before(1) => (Plan::Whole, Order::Cut),
            Plan::Before(more) => (Plan::Before(more - 1), Order::Pass),
            Plan::BeforeCommit if commits => (Plan::Whole, Order::Cut),
            Plan::AfterCommit if commits => (Plan::Whole, Order::PassAndCut),
            same => (same, Order::Pass),
        };
        *plan = next;
        order
    }
}
