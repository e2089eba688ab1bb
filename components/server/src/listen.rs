//! The socket that the server listens on.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use tokio::net::TcpListener;

use crate::config::Config;
use crate::error::Error;

/// Listens where `config` says; without an address on all of the machine, IPv6 if it has that, and IPv4.
///
/// # Errors
/// [`Error::PortInUse`], [`Error::Listen`].
pub async fn bind(config: &Config) -> Result<TcpListener, Error> {
    let port = config.http_listen_port;
    let host = bare(config.http_listen_address.trim());
    if host.is_empty() {
        return match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(failed(format!("[::]:{port}"), error))
            }
            Err(_) => {
                let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
                listener.map_err(|error| failed(format!("0.0.0.0:{port}"), error))
            }
        };
    }
    let shown = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| failed(shown.clone(), error))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    TcpListener::bind(addresses.as_slice())
        .await
        .map_err(|error| failed(shown, error))
}

/// An address without the brackets that IPv6 may have.
fn bare(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

fn failed(address: String, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::AddrInUse {
        Error::PortInUse { address }
    } else {
        Error::Listen { address, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_said_so() {
        let config = |port| Config {
            http_listen_address: "127.0.0.1".into(),
            http_listen_port: port,
            ..Config::default()
        };
        let first = bind(&config(0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let error = bind(&config(port)).await.unwrap_err();
        assert!(matches!(error, Error::PortInUse { .. }), "{error}");
        assert!(
            error.to_string().contains("-server.http-listen-port"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_address_that_is_not_ours_is_refused() {
        let config = Config {
            http_listen_address: "192.0.2.1".into(),
            http_listen_port: 0,
            ..Config::default()
        };
        let error = bind(&config).await.unwrap_err();
        assert!(error.to_string().contains("192.0.2.1:0"), "{error}");
    }

    #[test]
    fn brackets_are_no_part_of_an_address() {
        assert_eq!(bare("[fd00:1::2]"), "fd00:1::2");
        for host in ["fd00:1::", "127.0.0.1", "host", ""] {
            assert_eq!(bare(host), host);
        }
    }

    #[tokio::test]
    async fn without_an_address_all_are_taken() {
        let listener = bind(&Config {
            http_listen_port: 0,
            ..Config::default()
        })
        .await
        .unwrap();
        assert!(listener.local_addr().unwrap().ip().is_unspecified());
    }
}
