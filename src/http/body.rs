//! The body of an answer, unpacked as it comes and held to its caps.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use futures_util::stream::try_unfold;
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;
use xxhash_rust::xxh3::Xxh3Default;

use super::HttpError;
use super::error::explain;

/// A body may unpack to more than so many times what was sent only up to [`FREE_BYTES`]: pages unpack to
/// twenty times, bombs to a thousand and more.
const MAX_RATIO: usize = 200;
const FREE_BYTES: usize = 1 << 20;

/// 8 MiB: the largest window that RFC 9659 allows, and all the memory that unpacking takes.
const ZSTD_WINDOW_LOG: u32 = 23;

const STEP_BYTES: usize = 32 << 10;

/// A smaller part may hold on to a buffer many times its size; it is copied.
const SMALL_BYTES: usize = 16 << 10;

/// Small parts are gathered up to this.
const TAIL_BYTES: usize = 256 << 10;

/// A body. Most are the same as last time, so the parts are put together only when they are not.
pub(super) struct Body {
    parts: Vec<Bytes>,
    length: usize,
    /// XXH3-128.
    pub(super) hash: u128,
}

impl Body {
    pub(super) async fn take(response: &mut Response, max_body: usize) -> Result<Self, HttpError> {
        let packing = packing(response)?;
        let expected = response.content_length().map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if expected > max_body {
            return Err(HttpError::TooLarge(max_body));
        }
        let mut taking = Taking::new(max_body);
        match packing {
            None => {
                while let Some(part) = response.chunk().await.map_err(|error| explain(&error))? {
                    taking.push(part)?;
                }
            }
            Some(packing) => unpack(response, packing, &mut taking).await?,
        }
        Ok(taking.done())
    }

    pub(super) fn together(mut self) -> Bytes {
        if self.parts.len() == 1 {
            return self.parts.remove(0);
        }
        let mut body = BytesMut::with_capacity(self.length);
        for part in self.parts {
            body.extend_from_slice(&part);
        }
        body.freeze()
    }
}

struct Taking {
    max_body: usize,
    length: usize,
    parts: Vec<Bytes>,
    /// The small parts since the last of `parts`.
    tail: BytesMut,
    hasher: Xxh3Default,
}

impl Taking {
    fn new(max_body: usize) -> Self {
        Self { max_body, length: 0, parts: Vec::new(), tail: BytesMut::new(), hasher: Xxh3Default::new() }
    }

    fn push(&mut self, part: Bytes) -> Result<(), HttpError> {
        self.length = self.length.saturating_add(part.len());
        if self.length > self.max_body {
            return Err(HttpError::TooLarge(self.max_body));
        }
        self.hasher.update(&part);
        let is_small = part.len() < SMALL_BYTES;
        if !is_small || self.tail.len() >= TAIL_BYTES {
            self.end_tail();
        }
        if is_small {
            self.tail.extend_from_slice(&part);
        } else {
            self.parts.push(part);
        }
        Ok(())
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            self.parts.push(std::mem::take(&mut self.tail).freeze());
        }
    }

    fn done(mut self) -> Body {
        self.end_tail();
        Body { length: self.length, hash: self.hasher.digest128(), parts: self.parts }
    }
}

#[derive(Clone, Copy)]
enum Packing {
    Gzip,
    Zlib,
    Brotli,
    Zstd,
}

fn packing(response: &Response) -> Result<Option<Packing>, HttpError> {
    let mut named = response.headers().get_all(CONTENT_ENCODING).iter();
    let Some(name) = named.next() else { return Ok(None) };
    let name = name.as_bytes().trim_ascii();
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let packing = if is("gzip") || is("x-gzip") {
        Packing::Gzip
    } else if is("br") {
        Packing::Brotli
    } else if is("zstd") {
        Packing::Zstd
    } else if is("deflate") {
        Packing::Zlib
    } else if is("identity") || name.is_empty() {
        return Ok(None);
    } else {
        return Err(HttpError::Unfit("the answer is packed in a way that was not asked for".into()));
    };
    if named.next().is_some() {
        return Err(HttpError::Unfit("the answer is packed more than once".into()));
    }
    Ok(Some(packing))
}

async fn unpack(response: &mut Response, packing: Packing, taking: &mut Taking) -> Result<(), HttpError> {
    let Some(first) = response.chunk().await.map_err(|error| explain(&error))? else { return Ok(()) };
    let max_body = taking.max_body;
    let sent = AtomicUsize::new(0);
    let raw = try_unfold((response, Some(first)), async |(response, first)| {
        let part = match first {
            Some(first) => Some(first),
            None => response.chunk().await.map_err(io::Error::other)?,
        };
        let Some(part) = part else { return Ok::<_, io::Error>(None) };
        let before = sent.fetch_add(part.len(), Ordering::Relaxed);
        if before.saturating_add(part.len()) > max_body {
            return Err(io::Error::other(HttpError::TooLarge(max_body)));
        }
        Ok(Some((part, (response, None))))
    });
    let mut raw = pin!(raw);
    let raw = StreamReader::new(raw.as_mut());
    let mut unpacked: Box<dyn AsyncRead + Send + Unpin> = match packing {
        Packing::Gzip => {
            let mut decoder = GzipDecoder::new(raw);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        Packing::Zlib => Box::new(ZlibDecoder::new(raw)),
        Packing::Brotli => Box::new(BrotliDecoder::new(raw)),
        Packing::Zstd => {
            let mut decoder = ZstdDecoder::with_params(raw, &[DParameter::window_log_max(ZSTD_WINDOW_LOG)]);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
    };
    let mut buffer = BytesMut::with_capacity(STEP_BYTES);
    loop {
        if unpacked.read_buf(&mut buffer).await.map_err(broken)? == 0 {
            return taking.push(buffer.freeze());
        }
        if buffer.len() >= STEP_BYTES {
            taking.push(std::mem::replace(&mut buffer, BytesMut::with_capacity(STEP_BYTES)).freeze())?;
        }
        let most = sent.load(Ordering::Relaxed).saturating_mul(MAX_RATIO).max(FREE_BYTES);
        if taking.length.saturating_add(buffer.len()) > most {
            return Err(HttpError::Unfit(format!(
                "the answer unpacks to more than {MAX_RATIO} times its size, as only a bomb does"
            )));
        }
    }
}

fn broken(error: io::Error) -> HttpError {
    let inner = error.get_ref();
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
        return explain(error);
    }
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<HttpError>()) {
        return error.clone();
    }
    HttpError::Broken(match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ended before all of it could be unpacked".into(),
        _ => "it cannot be unpacked".into(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A part of a buffer that is much larger; the count is of those held on to.
    struct Held {
        bytes: Vec<u8>,
        _count: Arc<()>,
    }

    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    #[test]
    fn small_parts_hold_on_to_no_buffer_and_large_ones_are_not_copied() {
        let (count, mut taking) = (Arc::new(()), Taking::new(8 << 20));
        let mut whole = Vec::new();
        let part = |n: usize, length| Held { bytes: vec![n as u8; length], _count: Arc::clone(&count) };
        for n in 0..1_000 {
            let part = part(n, 1 + n % 700);
            whole.extend_from_slice(&part.bytes);
            taking.push(Bytes::from_owner(part)).expect("room");
        }
        assert_eq!(Arc::strong_count(&count), 1, "held on to");
        let large = Bytes::from_owner(part(7, SMALL_BYTES));
        whole.extend_from_slice(&large);
        taking.push(large.clone()).expect("room");
        taking.push(Bytes::from_static(b"end")).expect("room");
        whole.extend_from_slice(b"end");
        assert!(taking.parts.iter().any(|part| part.as_ptr() == large.as_ptr()), "copied");
        let body = taking.done();
        assert!(body.parts.len() < 6, "{}", body.parts.len());
        assert_eq!(body.hash, xxhash_rust::xxh3::xxh3_128(&whole));
        assert!(body.together() == whole);
    }
}
