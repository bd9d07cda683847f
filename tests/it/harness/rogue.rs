//! A server that misbehaves on purpose, in raw bytes: what a bad day on the network looks like to a client.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How it misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Takes the connection and says nothing.
    Hang,
    /// The head and half of the body, then nothing more.
    Stall,
    /// All of it a byte at a time, the head too.
    Slowloris,
    /// The body a byte at a time.
    Drip,
    /// Less than it promised.
    Truncate,
    /// Bytes that are no HTTP.
    Garbage,
    /// A first line that is none of HTTP's.
    StatusLine(&'static str),
    /// A chunk whose length is no number.
    BadChunk,
    /// Packed, and damaged half way.
    BadGzip,
    /// 64 MiB of zeros in a thousandth of the size.
    GzipBomb,
    /// Packed without end into blocks of a few bytes each.
    TinyBlocks,
    /// Without end, in chunks of one byte.
    TinyChunks,
    /// A gigabyte, and it says so.
    Huge,
    /// Never ends.
    Endless,
    /// Ten megabytes of headers.
    HeaderBomb,
    /// To itself for ever.
    RedirectLoop,
    /// So many redirects before the page.
    RedirectChain(usize),
    /// To another place.
    RedirectTo(String),
    /// Ends the connection without a word.
    Close,
    /// The same, and rudely.
    Reset,
    /// An answer of another kind: content type and body.
    Instead(&'static str, &'static [u8]),
    /// Another status, with a few words.
    Status(u16),
}

/// Serves `{"n": N}` under every path, and misbehaves while it is told to.
#[derive(Clone)]
pub(crate) struct Rogue {
    address: SocketAddr,
    scene: Arc<Mutex<Scene>>,
}

struct Scene {
    number: i64,
    fault: Option<Fault>,
    asked: usize,
}

impl Rogue {
    pub(crate) async fn start(number: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scene = Arc::new(Mutex::new(Scene { number, fault: None, asked: 0 }));
        let rogue = Self { address: listener.local_addr().unwrap(), scene };
        let served = rogue.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let rogue = served.clone();
                // Whoever is gone is gone.
                tokio::spawn(async move { rogue.serve(stream).await.ok() });
            }
        });
        rogue
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Misbehaves from now on.
    pub(crate) fn fall_ill(&self, fault: Fault) {
        // Packing takes a while, which is nobody's run.
        match fault {
            Fault::GzipBomb => drop(LazyLock::force(&BOMB)),
            Fault::TinyBlocks => drop(LazyLock::force(&BLOCKS)),
            _ => {}
        }
        self.scene.lock().unwrap().fault = Some(fault);
    }

    pub(crate) fn recover(&self) {
        self.scene.lock().unwrap().fault = None;
    }

    /// How many requests arrived.
    pub(crate) fn asked(&self) -> usize {
        self.scene.lock().unwrap().asked
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let (number, fault) = {
            let mut scene = self.scene.lock().unwrap();
            scene.asked += 1;
            (scene.number, scene.fault.clone())
        };
        let body = format!("{{\"n\": {number}, \"filler\": \"{}\"}}", "0123456789".repeat(20));
        match fault {
            None => stream.write_all(&answer("application/json", "", body.as_bytes())).await?,
            Some(fault) => self.misbehave(&mut stream, &head, body.as_bytes(), fault).await?,
        }
        stream.shutdown().await
    }

    async fn misbehave(
        &self,
        stream: &mut TcpStream,
        request: &[u8],
        body: &[u8],
        fault: Fault,
    ) -> std::io::Result<()> {
        let whole = answer("application/json", "", body);
        let half = whole.len() - body.len() / 2;
        match fault {
            Fault::Hang => gone(stream).await,
            Fault::Stall => {
                stream.write_all(&whole[..half]).await?;
                gone(stream).await;
            }
            Fault::Slowloris => drip(stream, &whole).await?,
            Fault::Drip => {
                stream.write_all(&whole[..whole.len() - body.len()]).await?;
                drip(stream, body).await?;
            }
            Fault::Truncate => stream.write_all(&whole[..half]).await?,
            Fault::Garbage => {
                let bytes: Vec<u8> =
                    (0..4_096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
                stream.write_all(&bytes).await?;
            }
            Fault::StatusLine(line) => {
                stream.write_all(format!("{line}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
            }
            Fault::BadChunk => {
                let chunks =
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"n\":\r\nZZ\r\n 12}\r\n";
                stream.write_all(chunks.as_bytes()).await?;
            }
            Fault::BadGzip => {
                let mut packed = packed(body);
                let middle = packed.len() / 2;
                packed.iter_mut().skip(middle).for_each(|byte| *byte ^= 0x5a);
                let whole = answer("application/json", "content-encoding: gzip\r\n", &packed);
                stream.write_all(&whole).await?;
            }
            Fault::GzipBomb => {
                stream.write_all(&answer("text/html", "content-encoding: gzip\r\n", &BOMB)).await?;
            }
            Fault::Huge => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1073741824\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                for _ in 0..1_024 {
                    stream.write_all(&[b' '; 1 << 20]).await?;
                }
            }
            Fault::Endless => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                loop {
                    stream.write_all(b"10000\r\n").await?;
                    stream.write_all(&[b' '; 1 << 16]).await?;
                    stream.write_all(b"\r\n").await?;
                }
            }
            Fault::TinyBlocks => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-encoding: gzip\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                let (first, more) = &*BLOCKS;
                stream.write_all(first).await?;
                loop {
                    stream.write_all(more).await?;
                }
            }
            Fault::TinyChunks => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                let chunks = b"1\r\n \r\n".repeat(10_000);
                loop {
                    stream.write_all(&chunks).await?;
                }
            }
            Fault::HeaderBomb => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                for n in 0..10_240 {
                    stream.write_all(format!("x-{n}: {}\r\n", "a".repeat(1_000)).as_bytes()).await?;
                }
                stream.write_all(b"content-length: 0\r\n\r\n").await?;
            }
            Fault::RedirectLoop => stream.write_all(&redirect("/again")).await?,
            Fault::RedirectChain(hops) => {
                let path = String::from_utf8_lossy(request);
                let path = path.split(' ').nth(1).unwrap_or_default();
                let done = path.strip_prefix("/hop/").and_then(|n| n.parse().ok()).unwrap_or(0);
                let answer = if done < hops { redirect(&format!("/hop/{}", done + 1)) } else { whole };
                stream.write_all(&answer).await?;
            }
            Fault::RedirectTo(url) => stream.write_all(&redirect(&url)).await?,
            Fault::Close => {}
            Fault::Reset => stream.set_zero_linger()?,
            Fault::Instead(content_type, body) => stream.write_all(&answer(content_type, "", body)).await?,
            Fault::Status(status) => {
                let whole = format!(
                    "HTTP/1.1 {status} No\r\ncontent-length: 11\r\nconnection: close\r\n\r\nnot to you\n"
                );
                stream.write_all(whole.as_bytes()).await?;
            }
        }
        Ok(())
    }
}

static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| packed(&vec![0; 64 << 20]));

/// The beginning of a stream, and what can follow it any number of times.
static BLOCKS: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    let mut blocks = || {
        for n in 0..4_000_u32 {
            packer.write_all(format!("{:08x}", n.wrapping_mul(2_654_435_761)).as_bytes()).unwrap();
            packer.flush().unwrap();
        }
        std::mem::take(packer.get_mut())
    };
    (blocks(), blocks())
});

fn answer(content_type: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .into_bytes()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Until the other side gives up.
async fn gone(stream: &mut TcpStream) {
    let mut rest = [0; 1_024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}
