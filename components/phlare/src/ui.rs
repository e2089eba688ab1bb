//! What people at a terminal see: answers on standard output, talk on standard error.
//!
//! Both may lie on a disk that is full, which must not stop the program: what cannot be written is not.

use std::io::{Write, stderr, stdout};
use std::net::SocketAddr;

use crate::config::Config;

/// Prints what was asked for.
pub(crate) fn answer(text: &str) {
    let _ = writeln!(stdout(), "{}", text.trim_end());
}

/// One line: what failed, and why.
pub(crate) fn complain(error: &anyhow::Error) {
    let line = format!("{error:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let _ = writeln!(stderr(), "phlare: {line}");
}

/// Where the server listens, where data goes, how to begin.
pub(crate) fn welcome(config: &Config, address: SocketAddr) {
    let scheme = if config.server.http_tls_config.is_on() {
        "https"
    } else {
        "http"
    };
    let url = format!("{scheme}://{}", reachable(address));
    let tenancy = match config.multitenancy_enabled {
        true => "\n  tenants       named by the header X-Scope-OrgID",
        false => "",
    };
    let _ = writeln!(
        stderr(),
        "Phlare {version} is up.
  listens on    {url}  (HTTP, Connect, gRPC and gRPC-web)
  keeps data in {data}{tenancy}

Send a first profile, and look at it:
  curl --data 'main;work 7' '{url}/ingest?name=hello.cpu'
  curl '{url}/pyroscope/render?query=process_cpu:cpu:nanoseconds:cpu:nanoseconds%7B%7D&from=now-1h'
Add {url} to Grafana as a data source of type Grafana Pyroscope.
",
        version = env!("CARGO_PKG_VERSION"),
        data = config.pyroscopedb.data_path.display(),
    );
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}
