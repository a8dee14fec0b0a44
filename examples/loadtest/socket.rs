//! A WebSocket client that uses little processor time, because many of them share one core with the server that they
//! measure.
//!
//! It parses frames in the read buffer, answers pings, and writes all waiting frames with one call.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::Result;

thread_local! {
    /// The read buffer of all sockets. Because they share one, it stays in the cache of the processor.
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

/// One open socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// The beginning of a frame whose end has not arrived.
    partial_frame: Vec<u8>,
    send_buffer: SendBuffer,
}

/// Frames that wait to be written.
#[derive(Debug, Default)]
pub struct SendBuffer(Vec<u8>);

impl Socket {
    /// Opens a socket that is subscribed to the streams of its user. Returns after `auth.success`.
    pub async fn open(address: SocketAddr, token: &str) -> Result<Self> {
        Self::open_path(address, "/ws", token).await
    }

    /// Opens a socket without subscriptions, which only sends commands. Returns after `auth.success`.
    pub async fn open_unsubscribed(address: SocketAddr, token: &str) -> Result<Self> {
        Self::open_path(address, "/ws?subscribe=none", token).await
    }

    async fn open_path(address: SocketAddr, path: &str, token: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZHRlc3QgbG9hZHRlcw==\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut received = Vec::with_capacity(1024);
        let head_end = loop {
            if stream.read_buf(&mut received).await? == 0 {
                return Err("the server closed the connection during the handshake".into());
            }
            if let Some(end) = find(&received, b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !received.starts_with(b"HTTP/1.1 101") {
            return Err(format!("the handshake was refused: {}", String::from_utf8_lossy(&received)).into());
        }
        received.drain(..head_end);
        let mut socket = Self { stream, partial_frame: received, send_buffer: SendBuffer::default() };
        socket.expect_first(b"\"auth.success\"").await?;
        Ok(socket)
    }

    /// Waits for the first frame, and fails unless it contains `text`.
    async fn expect_first(&mut self, text: &[u8]) -> Result<()> {
        let mut first: Option<Vec<u8>> = None;
        // The server may have sent the frame together with the head of its answer.
        let mut received = std::mem::take(&mut self.partial_frame);
        let parsed = parse(&received, &mut self.send_buffer, &mut |frame| {
            first.get_or_insert_with(|| frame.to_vec());
        })?;
        received.drain(..parsed);
        self.partial_frame = received;
        while first.is_none() {
            self.ready().await?;
            self.read(|frame| {
                first.get_or_insert_with(|| frame.to_vec());
            })?;
        }
        let first = first.unwrap_or_default();
        if find(&first, text).is_none() {
            return Err(format!("the socket was not authenticated: {}", String::from_utf8_lossy(&first)).into());
        }
        Ok(())
    }

    /// Returns the buffer for frames. The next [`Self::ready`] or [`Self::flush`] writes them.
    pub fn send_buffer(&mut self) -> &mut SendBuffer {
        &mut self.send_buffer
    }

    /// Waits until there is something to read, and writes the waiting frames meanwhile. The future may be dropped at
    /// any time.
    pub async fn ready(&mut self) -> Result<()> {
        loop {
            self.flush()?;
            let is_empty = self.send_buffer.0.is_empty();
            let interest = if is_empty { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            if self.stream.ready(interest).await?.is_readable() {
                return Ok(());
            }
        }
    }

    /// Writes as many of the waiting bytes as the kernel accepts without waiting.
    pub fn flush(&mut self) -> Result<()> {
        while !self.send_buffer.0.is_empty() {
            match self.stream.try_write(&self.send_buffer.0) {
                Ok(written) => drop(self.send_buffer.0.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Makes [`Self::ready`] wait for further bytes. A read that did not fill the buffer has read all bytes, so that the
    /// call with which the kernel would say so can be saved.
    fn note_nothing_to_read(&self) {
        let _ = self.stream.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
    }

    /// Reads once without waiting, and calls `each` with every complete text frame, in order. A frame that is not
    /// complete waits for the next call.
    pub fn read(&mut self, mut each: impl FnMut(&[u8])) -> Result<()> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let bytes = match self.stream.try_read(buffer) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(length) => {
                    if length < buffer.len() {
                        self.note_nothing_to_read();
                    }
                    &buffer[..length]
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if self.partial_frame.is_empty() {
                let parsed = parse(bytes, &mut self.send_buffer, &mut each)?;
                self.partial_frame.extend(&bytes[parsed..]);
            } else {
                self.partial_frame.extend(bytes);
                let parsed = parse(&self.partial_frame, &mut self.send_buffer, &mut each)?;
                self.partial_frame.drain(..parsed);
            }
            Ok(())
        })
    }
}

/// Calls `each` with the complete text frames in `bytes`, and answers pings. Returns the number of bytes in all
/// complete frames. Fails if the server closes the socket.
fn parse(bytes: &[u8], send_buffer: &mut SendBuffer, each: &mut impl FnMut(&[u8])) -> Result<usize> {
    let mut parsed = 0;
    while let Some((opcode, start, end)) = first_frame(&bytes[parsed..]) {
        let payload = &bytes[parsed + start..parsed + end];
        match opcode {
            1 => each(payload),
            8 => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                return Err(format!("the server closed the socket with {code:?}").into());
            }
            9 => send_buffer.push(10, payload),
            _ => (),
        }
        parsed += end;
    }
    Ok(parsed)
}

impl SendBuffer {
    /// Adds a text frame.
    pub fn text(&mut self, text: &str) {
        self.push(1, text.as_bytes());
    }

    /// Adds a frame that is masked with zeros. The protocol requires a mask because of proxies in front of browsers, of
    /// which there are none here (RFC 6455, section 10.3).
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

/// Returns the opcode of the first frame in `bytes`, and where its payload begins and ends, or `None` if it is not
/// complete. Frames of a server have no mask, and this server sends no fragments.
fn first_frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (start, length) = match second & 0x7f {
        126 => (4, u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into()),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize),
        small => (2, small.into()),
    };
    let end = start + length;
    (bytes.len() >= end).then_some((first & 0x0f, start, end))
}

/// Returns the index at which `needle` first occurs.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Returns the index at which `needle` last occurs.
pub fn find_last(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).rposition(|window| window == needle)
}

/// Returns the number that follows the first occurrence of `key`.
pub fn number_after(text: &[u8], key: &[u8]) -> Option<u64> {
    let digits = &text[find(text, key)? + key.len()..];
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&digits[..length]).ok()?.parse().ok()
}

/// Returns the code in the payload of an `error` frame.
pub fn error_code(payload: &str) -> &str {
    let key = "\"code\":\"";
    let code = find(payload.as_bytes(), key.as_bytes()).map(|index| &payload[index + key.len()..]);
    code.and_then(|code| code.split('"').next()).unwrap_or("an error without a code")
}
