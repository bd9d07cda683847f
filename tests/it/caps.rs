//! No answer takes more memory or time than is its due, and each that is not taken says why.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use jiff::Timestamp;
use stakeout::http::{Asker, Fetched, HostRules, Http, HttpError, Mark, Reply, Request, Settings};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use url::Url;

use crate::harness::{Wire, page};

const MAX_BODY: usize = 2 << 20;

fn settings() -> Settings {
    Settings {
        timeout: Duration::from_secs(5),
        max_body: MAX_BODY,
        allow_private_networks: true,
        per_host: HostRules { max_concurrent: 8, min_interval: Duration::ZERO, ..HostRules::default() },
        ..Settings::default()
    }
}

async fn fetch(settings: Settings, url: &str) -> Result<Reply, HttpError> {
    let asker = Asker { watch_id: 1, now: Timestamp::now() };
    let http = Http::new(settings).unwrap();
    match http.fetch(&Request::get(Url::parse(url).unwrap()), None, asker).await.result? {
        Fetched::New(reply, _) => Ok(reply),
        Fetched::Unchanged => panic!("nothing was known"),
    }
}

/// What comes of these bytes as an answer.
async fn answered(bytes: Vec<u8>) -> Result<Reply, HttpError> {
    let wire = Wire::start("127.0.0.1", move |_| bytes.clone()).await;
    fetch(settings(), &wire.url("/")).await
}

async fn packed(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut packed = Vec::new();
    encoder.read_to_end(&mut packed).await.unwrap();
    packed
}

fn unfit(error: HttpError) -> String {
    match error {
        HttpError::Unfit(why) => why,
        other => panic!("not unfit, but {other:?}"),
    }
}

#[tokio::test]
async fn whatever_is_asked_for_is_unpacked() {
    let text: Vec<u8> = (0..2_000_u32).flat_map(|n| format!("{n} ").into_bytes()).collect();
    for (encoding, body) in [
        ("gzip", packed(GzipEncoder::new(&text[..])).await),
        ("GZIP", packed(GzipEncoder::new(&text[..])).await),
        ("br", packed(BrotliEncoder::new(&text[..])).await),
        ("zstd", packed(ZstdEncoder::new(&text[..])).await),
        ("deflate", packed(ZlibEncoder::new(&text[..])).await),
        ("identity", text.clone()),
    ] {
        let header = format!("content-encoding: {encoding}\r\n");
        let reply = answered(page("200 OK", &header, &body)).await.expect(encoding);
        assert!(reply.body == text, "{encoding}");
        let empty = answered(page("200 OK", &header, b"")).await.expect(encoding);
        assert!(empty.body.is_empty(), "{encoding}");
    }
}

#[tokio::test]
async fn what_can_be_unpacked_is_asked_for() {
    let wire = Wire::start("127.0.0.1", |_| page("200 OK", "", b"")).await;
    fetch(settings(), &wire.url("/")).await.unwrap();
    assert!(wire.heard()[0].to_lowercase().contains("accept-encoding: gzip, br, zstd\r\n"));
}

#[tokio::test]
async fn nothing_changed_is_an_answer_only_to_who_asked_since_when() {
    let wire = Wire::start("127.0.0.1", |_| b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()).await;
    let (http, request) = (Http::new(settings()).unwrap(), Request::get(wire.url("/").parse().unwrap()));
    let asker = Asker { watch_id: 1, now: Timestamp::now() };
    let with = |etag: Option<&str>| Mark { etag: etag.map(str::to_owned), ..Mark::default() };
    for known in [None, Some(with(None)), Some(with(Some("not\nsent")))] {
        let error = http.fetch(&request, known.as_ref(), asker).await.result.expect_err("not asked");
        assert!(matches!(&error, HttpError::Broken(why) if why.contains("304")), "{error:?}");
    }
    let answered = http.fetch(&request, Some(&with(Some("\"1\""))), asker).await.result;
    assert!(matches!(answered, Ok(Fetched::Unchanged)), "{answered:?}");
}

#[tokio::test]
async fn a_bomb_is_not_unpacked() {
    let much = vec![b' '; 3 << 19];
    for (encoding, body) in [
        ("gzip", packed(GzipEncoder::new(&much[..])).await),
        ("br", packed(BrotliEncoder::new(&much[..])).await),
        ("zstd", packed(ZstdEncoder::new(&much[..])).await),
    ] {
        let header = format!("content-encoding: {encoding}\r\n");
        let why = unfit(answered(page("200 OK", &header, &body)).await.expect_err(encoding));
        assert!(why.contains("unpacks to more than 200 times"), "{encoding}: {why}");
    }
    // A page that repeats itself is none, up to a size.
    let little = packed(GzipEncoder::new(&much[..1 << 20])).await;
    assert_eq!(
        answered(page("200 OK", "content-encoding: gzip\r\n", &little)).await.unwrap().body.len(),
        1 << 20
    );
}

#[tokio::test]
async fn the_size_counts_unpacked() {
    let text: Vec<u8> = (0..320_000_u32).flat_map(|n| format!("{n} ").into_bytes()).collect();
    assert!(text.len() > MAX_BODY);
    let body = packed(GzipEncoder::new(&text[..])).await;
    assert!(body.len() < MAX_BODY);
    for page in [
        page("200 OK", "content-encoding: gzip\r\n", &body),
        page("200 OK", "", &text),
        [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &text].concat(),
    ] {
        assert_eq!(answered(page).await.expect_err("too large"), HttpError::TooLarge(MAX_BODY));
    }
}

#[tokio::test]
async fn a_bomb_of_headers_is_not_taken() {
    let many: String = (0..150).map(|n| format!("x-{n}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "x".repeat(100_000));
    let endless = format!("x-long: {}\r\n", "x".repeat(2_000_000));
    let heavy: String = (0..90).map(|n| format!("x-{n}: {}\r\n", "x".repeat(1_000))).collect();
    for headers in [many, long, endless, heavy] {
        let why = unfit(answered(page("200 OK", &headers, b"")).await.expect_err("a bomb"));
        assert_eq!(why, "the answer has more headers, or larger ones, than are taken");
    }
    let usual: String = (0..90).map(|n| format!("x-{n}: {}\r\n", "x".repeat(100))).collect();
    assert!(answered(page("200 OK", &usual, b"")).await.is_ok());
}

#[tokio::test]
async fn what_breaks_off_or_is_not_http_says_so() {
    let text = b"many words, many words".repeat(1_000);
    let mut body = packed(GzipEncoder::new(&text[..])).await;
    body.truncate(body.len() / 2);
    let cut = page("200 OK", "content-encoding: gzip\r\n", &body);
    let junk = page("200 OK", "content-encoding: gzip\r\n", b"this is not packed at all, it only says so");
    for (bytes, said) in [
        (cut, "it ended before all of it could be unpacked"),
        (junk, "it cannot be unpacked"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec(), "it ended in the middle"),
        (b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(), "it ended in the middle"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n".to_vec(),
            "its parts are not as HTTP wants them (chunks)",
        ),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab".to_vec(), "it ended in the middle"),
        (b"\x00\x01\x02\x03 nonsense\r\n\r\n".to_vec(), "it is not HTTP"),
        (b"".to_vec(), "it ended in the middle"),
    ] {
        let error = answered(bytes.clone()).await.expect_err(said);
        assert_eq!(error, HttpError::Broken(said.into()), "{}", String::from_utf8_lossy(&bytes));
    }
    for (encoding, said) in
        [("compress", "a way that was not asked for"), ("gzip, gzip", "a way that was not")]
    {
        let page = page("200 OK", &format!("content-encoding: {encoding}\r\n"), b"abc");
        let why = unfit(answered(page).await.expect_err(said));
        assert!(why.contains(said), "{why}");
    }
}

#[tokio::test]
async fn a_drip_ends_with_the_timeout() {
    let wire = Wire::dripping(page("200 OK", "", &[b'x'; 10_000]), Duration::from_millis(5)).await;
    let timeout = Duration::from_millis(300);
    let began = Instant::now();
    let error = fetch(Settings { timeout, ..settings() }, &wire.url("/")).await.expect_err("too slow");
    assert_eq!(error, HttpError::Timeout(timeout));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn nobody_there_is_said_plainly() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = fetch(settings(), &format!("http://127.0.0.1:{port}/")).await.expect_err("nobody");
    assert_eq!(error.to_string(), "cannot connect: nobody listens there (connection refused)");
}

#[tokio::test]
async fn a_certificate_is_trusted_with_its_authority_and_never_without() {
    let wire = Wire::secure(|_| page("200 OK", "", b"in private")).await;
    let url = format!("https://localhost:{}/", wire.address.port());
    let error = fetch(settings(), &url).await.expect_err("nobody vouches for it");
    assert!(error.to_string().contains("`ca_file`"), "{error}");
    assert_eq!(wire.heard(), [""; 0]);

    let trusting = || Settings { ca_file: Some("tests/fixtures/tls/ca.pem".into()), ..settings() };
    assert_eq!(&fetch(trusting(), &url).await.unwrap().body[..], b"in private");
    let sender = Http::new(trusting()).unwrap();
    assert_eq!(sender.send(&Request::get(Url::parse(&url).unwrap())).await.unwrap().status, 200);
    let other = Settings { allow_private_networks: true, ..trusting() };
    let misnamed = Http::with_lookup(other, |_| Ok(vec!["127.0.0.1".parse().unwrap()])).unwrap();
    let request = Request::get(Url::parse(&url.replace("localhost", "other.test")).unwrap());
    let asker = Asker { watch_id: 1, now: Timestamp::now() };
    let error = misnamed.fetch(&request, None, asker).await.result.expect_err("another name");
    assert!(error.to_string().contains("certificate is for another name"), "{error}");
}

#[test]
fn a_file_of_certificates_that_holds_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    for path in [
        folder.path().join("missing.pem"),
        write("empty.pem", ""),
        write("key.pem", &std::fs::read_to_string("tests/fixtures/tls/server.key").unwrap()),
        write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"),
        write("odd.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ] {
        let why = Http::new(Settings { ca_file: Some(path.clone()), ..settings() }).err();
        let why = why.unwrap_or_else(|| panic!("{} is taken", path.display()));
        assert!(why.contains("`ca_file`"), "{}: {why}", path.display());
    }
}
