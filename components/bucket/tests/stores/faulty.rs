//! A server that answers as a test tells it to, also what no honest server would.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use phlare_bucket::{Backend, Bucket, Config, Environment, Metrics, Retries};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    /// As text; of large ones the begin.
    pub(crate) body: String,
    /// How many requests were asked before.
    pub(crate) before: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value)
    }

    /// `GET /bucket/key`, without the query.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path.split('?').next().unwrap())
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Full {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// So much of a body that should have 100 bytes.
    Torn(&'static str),
    /// Nothing, for ever.
    Silence,
    /// The connection is closed.
    HangUp,
}

impl Reply {
    pub(crate) fn ok(body: &str) -> Self {
        let headers = [
            ("etag", "\"1\""),
            ("last-modified", "Thu, 26 Nov 2026 12:00:00 GMT"),
        ];
        headers
            .into_iter()
            .fold(Self::status(200, body), |reply, (name, value)| {
                reply.with(name, value)
            })
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        Self::Full {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    /// A refusal as S3 writes it.
    pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Self {
        Self::status(
            status,
            &format!(
                "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            ),
        )
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Full { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// An empty listing.
    pub(crate) fn nothing_listed() -> Self {
        Self::ok("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    }
}

type Script = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// The server; it ends when this is dropped.
pub(crate) struct Faulty {
    address: SocketAddr,
    encrypted: bool,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
}

impl Faulty {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(script, None).await
    }

    /// With a certificate that nobody signed.
    pub(crate) async fn start_encrypted(
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)
            .unwrap();
        Self::serve(script, Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    async fn serve(
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Mutex::new(Box::new(script)),
            asked: Mutex::new(Vec::new()),
        });
        let mut tasks = JoinSet::new();
        let (serving, encrypted) = (Arc::clone(&state), tls.is_some());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&serving), tls.clone());
                connections.spawn(async move {
                    // A client that went away is what some tests are about.
                    let _ = match tls {
                        None => converse(socket, &state).await,
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => converse(socket, &state).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self {
            address,
            encrypted,
            state,
            _tasks: tasks,
        }
    }

    /// From now on it answers otherwise.
    pub(crate) fn becomes(&self, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Settings of S3 with static keys.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config {
            backend: Backend::S3,
            ..Config::default()
        };
        config.s3.endpoint = self.url();
        config.s3.bucket_name = "b".to_owned();
        config.s3.access_key_id = "key".to_owned();
        config.s3.secret_access_key = "secret".into();
        config
    }

    /// With static keys and little patience.
    pub(crate) fn bucket(&self) -> Bucket {
        open(&self.config(), &Environment::of([]), &Metrics::default())
    }
}

pub(crate) fn open(config: &Config, environment: &Environment, metrics: &Metrics) -> Bucket {
    let bucket = Bucket::open_in(config, environment, metrics).unwrap();
    bucket.with_retries(quick())
}

/// Three tries, without waiting long.
pub(crate) const fn quick() -> Retries {
    use std::time::Duration;
    Retries {
        tries: 3,
        within: Duration::from_secs(30),
        silence: Duration::from_secs(10),
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(2),
    }
}

/// One request, one answer, and the connection ends.
async fn converse(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    state: &State,
) -> io::Result<()> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let mut asked = Asked {
        method: first.next().unwrap().to_owned(),
        path: first.next().unwrap().to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: String::new(),
        before: 0,
    };
    let length: usize = asked.header("content-length").parse().unwrap_or(0);
    while read.len() < end + 4 + length {
        if socket.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    }
    let body = read.get(end + 4..).unwrap_or_default();
    asked.body = String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned();
    {
        let mut all = state.asked.lock().unwrap();
        asked.before = all.len();
        all.push(asked.clone());
    }
    let reply = (state.script.lock().unwrap())(&asked);
    match reply {
        Reply::Full {
            status,
            headers,
            body,
        } => {
            let headers: String = headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect();
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
            );
            socket.write_all(head.as_bytes()).await?;
            if asked.method != "HEAD" {
                socket.write_all(body.as_bytes()).await?;
            }
        }
        Reply::Torn(part) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\netag: \"1\"\r\n\
                        last-modified: Thu, 26 Nov 2026 12:00:00 GMT\r\n\r\n";
            socket.write_all(head.as_bytes()).await?;
            socket.write_all(part.as_bytes()).await?;
        }
        Reply::Silence => std::future::pending().await,
        Reply::HangUp => {}
    }
    socket.shutdown().await
}
