//! A transport for chitchat whose datagrams are sealed.
//!
//! chitchat keeps the bytes of its messages to itself: only its own UDP socket writes and reads them. So that socket
//! is our codec: it is bound to a loopback port and talks to nobody but the two sockets beside it, and what it says is
//! sealed and sent on by ours. What reaches chitchat's decoder was so made by a holder of the secret, which matters:
//! it believes what it decodes, and asserts on it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use chitchat::ChitchatEnvelope;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket, Transport, UdpTransport};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tracing::warn;

use super::figures::Figures;
use super::limited::Limited;
use super::seal::{Refused, Seal};

/// Longest datagram.
const DATAGRAM: usize = 65_535;

/// The codec answers at once, or, to a message that it does not understand, never.
const CODEC_TIMEOUT: Duration = Duration::from_millis(100);

/// Makes sealed sockets.
#[derive(Debug)]
pub(super) struct SealedTransport {
    pub(super) cluster: String,
    pub(super) secrets: Vec<Vec<u8>>,
    pub(super) figures: Figures,
}

#[async_trait]
impl Transport for SealedTransport {
    async fn open(&self, listen_addr: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let socket = UdpSocket::bind(listen_addr)
            .await
            .with_context(|| format!("listen for gossip on {listen_addr}/UDP"))?;
        Ok(Box::new(SealedSocket {
            socket,
            seal: Seal::new(&self.cluster, &self.secrets)?,
            codec: Codec::open().await?,
            buffer: vec![0; DATAGRAM],
            decoding: None,
            figures: self.figures.clone(),
            refusals: Limited::per_minute(),
        }))
    }
}

struct SealedSocket {
    socket: UdpSocket,
    seal: Seal,
    codec: Codec,
    buffer: Vec<u8>,
    /// A message is in the codec: who sent it, and its length on the wire.
    decoding: Option<(SocketAddr, usize)>,
    figures: Figures,
    refusals: Limited,
}

#[async_trait]
impl Socket for SealedSocket {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        self.socket
            .local_addr()
            .context("address of the gossip socket")
    }

    async fn send(
        &mut self,
        to: SocketAddr,
        envelope: ChitchatEnvelope,
    ) -> anyhow::Result<SendOutcome> {
        let message = self.codec.encode(envelope).await?;
        let mut num_bytes_sent = 0;
        for datagram in self.seal.seal(&message)? {
            // A host that is away is gossip's daily bread.
            if self.socket.send_to(&datagram, to).await.is_err() {
                self.figures.send_failures.inc();
                break;
            }
            num_bytes_sent += datagram.len();
        }
        self.figures.sent_bytes.inc_by(num_bytes_sent as u64);
        Ok(SendOutcome { num_bytes_sent })
    }

    /// May be dropped at any time: a message that is in the codec is fetched by the next call.
    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        loop {
            if let Some((from_addr, num_bytes_received)) = self.decoding {
                let decoded = self.codec.decoded().await?;
                self.decoding = None;
                match decoded {
                    Some(envelope) => {
                        return Ok(RecvOutcome {
                            from_addr,
                            envelope,
                            num_bytes_received,
                        });
                    }
                    None => self.refuse(Refused::Noise, from_addr),
                }
            }
            let (length, from) = match self.socket.recv_from(&mut self.buffer).await {
                Ok(received) => received,
                Err(error) if is_passing(&error) => continue,
                Err(error) => return Err(error).context("receive gossip"),
            };
            self.figures.received_bytes.inc_by(length as u64);
            let datagram = self.buffer.get_mut(..length).unwrap_or_default();
            match self.seal.open(datagram) {
                Ok(Some(message)) => {
                    self.codec.decode(&message).await?;
                    self.decoding = Some((from, length));
                }
                Ok(None) => {}
                Err(refused) => self.refuse(refused, from),
            }
        }
    }
}

impl SealedSocket {
    fn refuse(&mut self, refused: Refused, from: SocketAddr) {
        self.figures.refused(refused.as_str());
        if let Some(others) = self.refusals.allow() {
            let reason = match refused {
                Refused::Noise => "it is no gossip of this version",
                Refused::Foreign => "it is of another cluster, or its secret is another one",
            };
            warn!(%from, others, reason, "a gossip datagram was refused");
        }
    }
}

/// Errors of earlier sends that the system tells at a receive.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::Interrupted
    )
}

/// chitchat's own socket, and the two that talk to it. Two, in turn: an answer that comes too late is known by its
/// sender.
struct Codec {
    inner: Box<dyn Socket>,
    inner_addr: SocketAddr,
    pipes: [UdpSocket; 2],
    turn: usize,
    buffer: Vec<u8>,
}

impl Codec {
    async fn open() -> anyhow::Result<Self> {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let any = match UdpSocket::bind(v4).await {
            Ok(_) => v4,
            Err(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        };
        let inner = UdpTransport.open(any).await?;
        let pipe = async || UdpSocket::bind(any).await.context("open a loopback socket");
        Ok(Self {
            inner_addr: inner.local_addr()?,
            inner,
            pipes: [pipe().await?, pipe().await?],
            turn: 0,
            buffer: vec![0; DATAGRAM],
        })
    }

    async fn encode(&mut self, envelope: ChitchatEnvelope) -> anyhow::Result<Vec<u8>> {
        let [pipe, _] = &self.pipes;
        // What an interrupted call left.
        while pipe.try_recv_from(&mut self.buffer).is_ok() {}
        self.inner.send(pipe.local_addr()?, envelope).await?;
        let received = async {
            loop {
                let (length, from) = pipe.recv_from(&mut self.buffer).await?;
                if from == self.inner_addr {
                    return io::Result::Ok(length);
                }
            }
        };
        match timeout(CODEC_TIMEOUT, received).await {
            Ok(length) => Ok(self.buffer.get(..length?).unwrap_or_default().to_vec()),
            Err(_) => bail!("encode a gossip message"),
        }
    }

    async fn decode(&mut self, message: &[u8]) -> anyhow::Result<()> {
        self.turn = 1 - self.turn;
        let pipe = self.pipe()?;
        pipe.send_to(message, self.inner_addr)
            .await
            .context("decode a gossip message")?;
        Ok(())
    }

    /// What the last message says; `None` if it makes no sense.
    async fn decoded(&mut self) -> anyhow::Result<Option<ChitchatEnvelope>> {
        let expected = self.pipe()?.local_addr()?;
        let received = async {
            loop {
                let outcome = self.inner.recv().await?;
                if outcome.from_addr == expected {
                    return anyhow::Ok(outcome.envelope);
                }
            }
        };
        timeout(CODEC_TIMEOUT, received).await.ok().transpose()
    }

    fn pipe(&self) -> anyhow::Result<&UdpSocket> {
        self.pipes.get(self.turn).context("two pipes")
    }
}
