//! A server that answers with exactly these bytes, notes what it is told, and counts who connects.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

type Answer = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    /// Answers each request, of which it is given the text.
    pub(crate) async fn start(ip: &str, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        Self::serve(listener, Arc::new(answer), None, Duration::ZERO)
    }

    /// Like `start`, under the same port as another; `None` where that is taken.
    pub(crate) async fn beside(ip: &str, port: u16) -> Option<Self> {
        let listener = TcpListener::bind((ip.parse::<IpAddr>().unwrap(), port)).await.ok()?;
        Some(Self::serve(listener, Arc::new(|_| page("200 OK", "", b"reached")), None, Duration::ZERO))
    }

    /// Says a byte, and after a while the next.
    pub(crate) async fn dripping(bytes: Vec<u8>, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, Arc::new(move |_| bytes.clone()), None, pause)
    }

    /// By HTTPS, with the certificate of `tests/fixtures/tls`, which its `ca.pem` vouches for (made with
    /// `openssl` for `localhost` and 127.0.0.1; the authority's key is thrown away).
    pub(crate) async fn secure(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let folder = Path::new("tests/fixtures/tls");
        let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = Some(TlsAcceptor::from(Arc::new(config)));
        Self::serve(listener, Arc::new(answer), tls, Duration::ZERO)
    }

    fn serve(listener: TcpListener, answer: Answer, tls: Option<TlsAcceptor>, pause: Duration) -> Self {
        let address = listener.local_addr().unwrap();
        let wire = Self { address, connections: Arc::default(), heard: Arc::default() };
        let this = wire.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                this.connections.fetch_add(1, Ordering::SeqCst);
                let (this, answer, tls) = (this.clone(), Arc::clone(&answer), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => this.talk(stream, answer, pause).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                this.talk(stream, answer, pause).await;
                            }
                        }
                    }
                });
            }
        });
        wire
    }

    async fn talk(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer, pause: Duration) {
        let mut request = Vec::new();
        while !is_whole(&request) {
            let read = stream.read_buf(&mut request).await;
            if read.is_err() || read.is_ok_and(|count| count == 0) {
                return;
            }
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let bytes = answer(&request);
        self.heard.lock().unwrap().push(request);
        if pause.is_zero() {
            let _ = stream.write_all(&bytes).await;
        } else {
            for byte in bytes {
                let _ = stream.write_all(&[byte]).await;
                tokio::time::sleep(pause).await;
            }
        }
        let _ = stream.shutdown().await;
        // What the other side still has to say is heard out, so that it reads the answer before a reset.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests so far, heads and bodies.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// An answer that says how long it is; the headers each end a line.
pub(crate) fn page(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
}
