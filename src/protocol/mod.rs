//! The wire format: the frames and bodies that clients and the server send, without the connections that carry them.
//!
//! Each noun has a file with its resources, the bodies of REST, and the payloads of its commands and events. The frames
//! around the payloads are in [`client`], [`server`] and [`events`]; [`stored_event`] reads events back from the log. A
//! message to send is parsed in [`sends`], and [`shared_message`] is a message as events contain it.

pub mod accounts;
pub mod blocks;
pub mod change;
pub mod client;
pub mod conversations;
pub mod envelope;
pub mod event_type;
pub mod events;
pub mod json;
pub mod logins;
pub mod marks;
pub mod members;
pub mod messages;
pub mod page;
pub mod pins;
pub mod presence;
pub mod reactions;
pub mod receipts;
pub mod redaction;
pub mod sends;
pub mod server;
pub mod sessions;
pub mod settings;
pub mod shared_message;
pub mod statistics;
pub mod stored_event;
pub mod subscriptions;
pub mod typing;
pub mod users;
