//! A WebSocket client as cheap as one can be: many of them share one core with the server that they measure. It reads
//! frames in place, answers pings, and writes what has gathered in one go.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::Result;

thread_local! {
    /// What any socket reads at once.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

/// One open socket.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    inbox: Vec<u8>,
    outbox: Outbox,
}

/// Frames that wait to be written.
#[derive(Debug, Default)]
pub struct Outbox(Vec<u8>);

impl Connection {
    /// Connects and upgrades with a token; `auth.success` is the first frame to come.
    pub async fn open(address: SocketAddr, token: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZHRlc3QgbG9hZHRlcw==\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut inbox = Vec::with_capacity(1024);
        let end = loop {
            if stream.read_buf(&mut inbox).await? == 0 {
                return Err("the server hung up during the handshake".into());
            }
            if let Some(end) = find(&inbox, b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !inbox.starts_with(b"HTTP/1.1 101") {
            return Err(format!("no upgrade: {}", String::from_utf8_lossy(&inbox)).into());
        }
        inbox.drain(..end);
        let mut connection = Self { stream, inbox, outbox: Outbox::default() };
        connection.expect(b"\"auth.success\"").await?;
        Ok(connection)
    }

    /// Waits for the first frame, which must contain `text`.
    async fn expect(&mut self, text: &[u8]) -> Result<()> {
        let mut first: Option<Vec<u8>> = None;
        let mut keep = |frame: &[u8], _: &mut Outbox| {
            first.get_or_insert_with(|| frame.to_vec());
        };
        let mut inbox = std::mem::take(&mut self.inbox);
        let used = parse(&inbox, &mut self.outbox, &mut keep)?;
        inbox.drain(..used);
        self.inbox = inbox;
        while first.is_none() {
            self.ready().await?;
            self.read(|frame, _| {
                first.get_or_insert_with(|| frame.to_vec());
            })?;
        }
        let first = first.unwrap_or_default();
        if find(&first, text).is_none() {
            return Err(format!("not let in: {}", String::from_utf8_lossy(&first)).into());
        }
        Ok(())
    }

    /// Where to put frames that should go out with the next [`Self::ready`] or [`Self::flush`].
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Waits until something can be read; what waits to be written goes out meanwhile. May be cancelled.
    pub async fn ready(&mut self) -> Result<()> {
        loop {
            self.flush()?;
            let idle = self.outbox.0.is_empty();
            let interest = if idle { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            if self.stream.ready(interest).await?.is_readable() {
                return Ok(());
            }
        }
    }

    /// Writes as much as the kernel takes now.
    pub fn flush(&mut self) -> Result<()> {
        while !self.outbox.0.is_empty() {
            match self.stream.try_write(&self.outbox.0) {
                Ok(written) => drop(self.outbox.0.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads once, without waiting, and hands out every whole text frame that has come, in order, with a place for what
    /// should be sent in return. All sockets read into one buffer, which so stays in the processor's cache; only the
    /// beginning of an unfinished frame is kept for each.
    pub fn read(&mut self, mut each: impl FnMut(&[u8], &mut Outbox)) -> Result<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            let read = match self.stream.try_read(scratch) {
                Ok(0) => return Err("the server hung up".into()),
                Ok(read) => &scratch[..read],
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if self.inbox.is_empty() {
                let used = parse(read, &mut self.outbox, &mut each)?;
                self.inbox.extend(&read[used..]);
            } else {
                self.inbox.extend(read);
                let used = parse(&self.inbox, &mut self.outbox, &mut each)?;
                self.inbox.drain(..used);
            }
            Ok(())
        })
    }
}

/// Hands out the whole text frames in `bytes`, answers pings, and tells how many bytes are done with.
fn parse(bytes: &[u8], outbox: &mut Outbox, each: &mut impl FnMut(&[u8], &mut Outbox)) -> Result<usize> {
    let mut from = 0;
    while let Some((opcode, start, end)) = frame(&bytes[from..]) {
        let payload = &bytes[from + start..from + end];
        match opcode {
            1 => each(payload, outbox),
            8 => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                return Err(format!("the server closed the socket with {code:?}").into());
            }
            9 => outbox.push(10, payload),
            _ => (),
        }
        from += end;
    }
    Ok(from)
}

impl Outbox {
    /// Adds a text frame.
    pub fn text(&mut self, text: &str) {
        self.push(1, text.as_bytes());
    }

    /// Masked with zeros: the protocol asks for a mask, whose purpose (proxies in front of browsers) is not at stake here.
    fn push(&mut self, opcode: u8, payload: &[u8]) {
        self.0.push(0x80 | opcode);
        match payload.len() {
            small @ 0..=125 => self.0.push(0x80 | small as u8),
            medium @ 126..=0xffff => {
                self.0.push(0x80 | 0x7e);
                self.0.extend((medium as u16).to_be_bytes());
            }
            large => {
                self.0.push(0x80 | 0x7f);
                self.0.extend((large as u64).to_be_bytes());
            }
        }
        self.0.extend([0; 4]);
        self.0.extend(payload);
    }
}

/// The first frame in `bytes` if it is whole: its opcode, and where its payload begins and ends. A server masks nothing
/// and ours sends no fragments.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (start, length) = match second & 0x7f {
        126 => (4, u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into()),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize),
        small => (2, small.into()),
    };
    let end = start + length;
    (bytes.len() >= end).then_some((first & 0x0f, start, end))
}

/// Where `needle` first occurs.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The number behind the first occurrence of `key`.
pub fn number_after(text: &[u8], key: &[u8]) -> Option<u64> {
    let digits = &text[find(text, key)? + key.len()..];
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&digits[..length]).ok()?.parse().ok()
}
