//! A page of the history: from the rows to the body of the answer.

use std::hint::black_box;

use greenroom::domain::ids::{Rev, UserId};
use greenroom::protocol::messages::{Message, MessagePage, MessageStatus};
use greenroom::store::messages::MessageRow;
use greenroom::work::assemble::messages::build_message;

use crate::Piece;
use crate::input::{row, user};

const PAGE_ITEMS: usize = 50;
const RUNS: usize = 50;

/// One run makes the body of a page of 50 messages. Every second one is the viewer's own, and has a status.
pub fn history() -> Piece {
    let rows = || (1..=PAGE_ITEMS).map(row).collect();
    Piece::new((0..=RUNS).map(|_| rows()).collect(), |rows: Vec<MessageRow>| {
        let body = body(user(0), black_box(rows));
        assert!(body.len() > PAGE_ITEMS * 400, "the body has all messages");
        black_box(body);
    })
}

fn body(viewer: UserId, rows: Vec<MessageRow>) -> Vec<u8> {
    let to_message = |row: MessageRow| -> Message {
        let status = (row.sender_id() == Some(viewer)).then_some(MessageStatus::Seen);
        build_message(row, None, Vec::new(), Vec::new(), status)
    };
    let items = rows.into_iter().map(to_message).collect();
    let page = MessagePage { items, has_more_before: true, has_more_after: false, rev: Rev(PAGE_ITEMS as i64) };
    serde_json::to_vec(&page).expect("a page has string keys")
}
