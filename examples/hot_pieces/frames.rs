//! A frame of a client to its command, and an event to the frame that all clients get.

use std::hint::black_box;

use greenroom::domain::ids::Rev;
use greenroom::protocol::client;
use greenroom::protocol::envelope::Envelope;

use crate::Piece;
use crate::input::{TEXT, conversation, event, stream};

const RUNS: usize = 1000;

/// One run parses a `message.send`, as the session does with each frame.
pub fn parse() -> Piece {
    let frame = |number| {
        format!(
            r#"{{"type":"message.send","id":{number},"payload":{{"conversation_id":"{}","content":"{TEXT}","temp_id":"t{number}"}}}}"#,
            conversation(0),
        )
    };
    Piece::new((0..=RUNS).map(|number| frame(1000 + number)).collect(), |text: String| {
        let frame = client::read(black_box(&text));
        assert!(frame.command.is_ok(), "the frame is a command");
        black_box(frame);
    })
}

/// One run writes the frame of a `message.new`, as a transaction does for each event.
pub fn encode() -> Piece {
    let inputs = (0..=RUNS).map(|number| (event(number), Rev(1000 + number as i64))).collect();
    Piece::new(inputs, |(event, rev)| {
        black_box(Envelope::new(black_box(&event), stream(), rev));
    })
}
