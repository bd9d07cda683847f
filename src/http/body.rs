//! The body of an answer, unpacked as it comes and held to its caps.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

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

/// A body of some size that unpacks to less than half of it is made to keep us busy: not even noise packs so
/// badly.
const LEAST_PART: usize = 2;

/// After so many packed bytes whoever else waits has a turn, a timeout among them. Few: in blocks of a byte or
/// two they take many times as long to unpack as usual.
const SLICE_BYTES: usize = 4 << 10;

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
                    // Parts that are always there already are no reason to keep others waiting.
                    tokio::task::consume_budget().await;
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

/// What has gone through an unpacker, and may go through it.
#[derive(Default)]
struct Flow {
    arrived: AtomicUsize,
    unpacked: AtomicUsize,
    /// How many packed bytes it is given before others have their turn.
    allowed: AtomicUsize,
}

async fn unpack(response: &mut Response, packing: Packing, taking: &mut Taking) -> Result<(), HttpError> {
    let Some(first) = response.chunk().await.map_err(|error| explain(&error))? else { return Ok(()) };
    let max_body = taking.max_body;
    let flow = &Flow::default();
    let raw = try_unfold((response, first), async |(response, mut rest)| {
        if rest.is_empty() {
            let Some(part) = response.chunk().await.map_err(io::Error::other)? else {
                return Ok::<_, io::Error>(None);
            };
            rest = part;
        }
        let allowed = poll_fn(|context| match flow.allowed.load(Ordering::Relaxed) {
            0 => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            allowed => Poll::Ready(allowed),
        });
        let allowed = allowed.await;
        let slice = rest.split_to(allowed.min(rest.len()));
        flow.allowed.store(allowed.saturating_sub(slice.len()), Ordering::Relaxed);
        let before = flow.arrived.fetch_add(slice.len(), Ordering::Relaxed);
        let (arrived, unpacked) = (before.saturating_add(slice.len()), flow.unpacked.load(Ordering::Relaxed));
        if arrived > max_body {
            return Err(io::Error::other(HttpError::TooLarge(max_body)));
        }
        if before > FREE_BYTES && unpacked < before / LEAST_PART {
            let why = "the answer is packed to be larger than it is, which only keeps us busy";
            return Err(io::Error::other(HttpError::Unfit(why.into())));
        }
        Ok(Some((slice, (response, rest))))
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
        let mut reading = pin!(unpacked.read_buf(&mut buffer));
        let read = poll_fn(|context| {
            flow.allowed.store(SLICE_BYTES, Ordering::Relaxed);
            reading.as_mut().poll(context)
        });
        let count = read.await.map_err(broken)?;
        if count == 0 {
            return taking.push(buffer.freeze());
        }
        let before = flow.unpacked.fetch_add(count, Ordering::Relaxed);
        let most = flow.arrived.load(Ordering::Relaxed).saturating_mul(MAX_RATIO).max(FREE_BYTES);
        if before.saturating_add(count) > most {
            return Err(HttpError::Unfit(format!(
                "the answer unpacks to more than {MAX_RATIO} times its size, as only a bomb does"
            )));
        }
        if buffer.len() >= STEP_BYTES {
            taking.push(std::mem::replace(&mut buffer, BytesMut::with_capacity(STEP_BYTES)).freeze())?;
        }
        tokio::task::yield_now().await;
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
    use std::io::Write as _;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use axum::http;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// Of all parts at once, as if the server were faster than any unpacker.
    fn gzip(body: Vec<u8>) -> Response {
        http::Response::builder().header(CONTENT_ENCODING, "gzip").body(body).expect("an answer").into()
    }

    /// Packed so that every so many bytes are a block of their own.
    fn blocks_of(bytes: usize, count: usize) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        for n in 0..count {
            packer
                .write_all(&(0..bytes).map(|i| (n * 31 + i * 17) as u8).collect::<Vec<u8>>())
                .expect("packs");
            packer.flush().expect("packs");
        }
        packer.finish().expect("packs")
    }

    #[tokio::test]
    async fn whoever_else_waits_has_a_turn_after_every_few_bytes() {
        let packed = blocks_of(8, 7_000);
        let slices = packed.len() / SLICE_BYTES;
        let (mut response, mut turns) = (gzip(packed), 0);
        let mut taking = pin!(Body::take(&mut response, 8 << 20));
        let body = poll_fn(|context| {
            turns += 1;
            taking.as_mut().poll(context)
        });
        assert_eq!(body.await.expect("a body").length, 56_000);
        assert!(turns > slices && slices > 15, "{turns} turns for {slices} slices");
    }

    #[tokio::test]
    async fn a_timeout_ends_what_never_lacks_bytes_to_unpack_and_others_go_on_meanwhile() {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        // A stream that goes on for long: whatever follows its first blocks may be said again.
        let blocks = blocks_of(8, 8_000);
        let body = &blocks[10..blocks.len() - 10];
        let mut response = gzip([&blocks[..10], &body.repeat(400)].concat());
        let (begun, timeout) = (Instant::now(), Duration::from_millis(300));
        assert!(tokio::time::timeout(timeout, Body::take(&mut response, 1 << 30)).await.is_err());
        assert!(begun.elapsed() < timeout + Duration::from_secs(1), "{:?}", begun.elapsed());
        assert!(turns.load(Ordering::Relaxed) > 3, "{turns:?}");
        other.abort();
    }

    #[tokio::test]
    async fn a_body_that_unpacks_to_next_to_nothing_is_left() {
        let empty_blocks = [0, 0, 0, 0xff, 0xff].repeat(400_000);
        let packed = [&blocks_of(1, 1)[..10], &empty_blocks].concat();
        let error = Body::take(&mut gzip(packed), 64 << 20).await.err();
        let Some(HttpError::Unfit(why)) = error else { panic!("{error:?}") };
        assert!(why.contains("keeps us busy"), "{why}");
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(3 << 20).collect();
        let mut packer = GzEncoder::new(Vec::new(), Compression::none());
        packer.write_all(&noise).expect("packs");
        let body = Body::take(&mut gzip(packer.finish().expect("packs")), 8 << 20).await.expect("a body");
        assert_eq!(body.hash, xxhash_rust::xxh3::xxh3_128(&noise));
        assert!(body.together() == noise);
    }

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
