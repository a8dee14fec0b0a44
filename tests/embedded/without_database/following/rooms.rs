//! The rooms: deliveries, reads of the log, and the messages of the session.

use super::harness::{RoomSink, Simulation, TestRoom, ToRoom, USER};
use greenroom::domain::ids::SessionId;
use greenroom::domain::stream::Stream;
use greenroom::mailboxes::{Batch, ReadPurpose};
use greenroom::protocol::envelope::Envelope;
use greenroom::realtime::order::{Order, SubscribeRequest};
use std::sync::Arc;
use uuid::Uuid;

impl Simulation {
    pub fn with_order(&mut self, stream: Stream, input: impl FnOnce(&mut Order<(u64, u64)>, &mut RoomSink)) {
        let TestRoom { order, reads, .. } = self.rooms.entry(stream).or_default();
        let mut sink = RoomSink { stream, session: self.session, mailbox: &mut self.mailbox, reads };
        input(order, &mut sink);
    }

    pub fn take_delivery(&mut self, pick: usize) -> Option<(Stream, Arc<Batch>)> {
        let index = pick.checked_rem(self.undelivered.len())?;
        Some(self.undelivered.remove(index))
    }

    pub fn deliver(&mut self, pick: usize) {
        if let Some((stream, batch)) = self.take_delivery(pick)
            && self.rooms.contains_key(&stream)
        {
            self.with_order(stream, |order, sink| order.deliver(&batch, sink));
        }
    }

    pub fn catch_up(&mut self) {
        for stream in self.rooms.keys().copied().collect::<Vec<_>>() {
            let head = self.head(stream);
            self.with_order(stream, |order, sink| {
                order.note_known(head);
                order.read_gap(sink);
            });
        }
    }

    pub fn room_message(&mut self, pick: usize) {
        let waiting: Vec<Stream> =
            self.rooms.iter().filter(|(_, room)| !room.inbox.is_empty()).map(|(stream, _)| *stream).collect();
        let Some(stream) = pick.checked_rem(waiting.len()).map(|index| waiting[index]) else { return };
        let room = self.rooms.get_mut(&stream).expect("a room that was just found");
        let Some((session, message)) = room.inbox.pop_front() else { return };
        let id = SessionId(Uuid::from_u128(u128::from(session)));
        self.with_order(stream, |order, sink| match message {
            ToRoom::Subscribe { number, from, checked_rev } => {
                let handle = (session, number);
                order.subscribe(SubscribeRequest { session: id, user: USER, handle, from, checked_rev }, sink);
            }
            ToRoom::Unsubscribe => order.unsubscribe(id),
            ToRoom::Continue => order.resume(id, sink),
        });
    }

    pub fn read_log(&mut self, pick: usize, rows: usize) {
        let waiting: Vec<Stream> =
            self.rooms.iter().filter(|(_, room)| !room.reads.is_empty()).map(|(stream, _)| *stream).collect();
        let Some(stream) = pick.checked_rem(waiting.len()).map(|index| waiting[index]) else { return };
        let (after, purpose) = self.rooms.get_mut(&stream).expect("a room that was just found").reads.remove(0);
        let rows = self.log[&stream].iter().skip(after.0 as usize).take(rows);
        let frames: Vec<Envelope> = rows.map(|(frame, _)| frame.clone()).collect();
        self.with_order(stream, |order, sink| match purpose {
            ReadPurpose::Replay { session, number, .. } => {
                order.handle_replay_read(session, number, Some(frames), sink);
            }
            ReadPurpose::Gap => order.handle_gap_read(Some(frames), sink),
            ReadPurpose::Verify(_) => unreachable!("only the actor of a room verifies"),
        });
    }
}
