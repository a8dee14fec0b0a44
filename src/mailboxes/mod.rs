//! The messages of every actor and the jobs of the writers, one file for each receiver. No actor imports another: a
//! room knows `Recipient`s, a session knows a mailbox, and neither knows what is behind it.

mod answer;
mod batch;
mod hub;
mod log_reader;
mod marks_writer;
mod presence;
mod room;
mod send_always;
mod session;
mod transport;
mod writer;

pub use answer::answer;
pub use batch::Batch;
pub use hub::{Committed, EndRooms, Ephemeral, Heads, ListOpenStreams, OpenRooms, Retire};
pub use log_reader::{ReadLog, ReadPurpose};
pub use marks_writer::{MarkAnswer, MarkCause, MarkJob, MarkWork, MovedMarks};
pub use presence::{PresenceAnnounced, PresenceChanged, ToPresence};
pub use room::{Subscription, ToRoom};
pub use send_always::send_always;
pub use session::{CloseSession, FromRoom, FromTransport, RoomEvent, SessionHandle};
pub use transport::ToTransport;
pub use writer::{SendAnswer, SendJob, SendSender, SentMessage};
