//! The address under which others reach this process, if no setting says it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::seeds::unbracketed;

/// Nobody said which address to advertise, and the system does not tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The setting is no address.
    #[error("`{0}` is no IP address")]
    Bad(String),
    /// There is no default route, and not just one address.
    #[error("no default route, and {0} addresses to choose from: set the address to advertise")]
    Unknown(usize),
}

/// The address to advertise: the configured one (IPv6 with or without brackets), else the one from which packets leave
/// by the default route, else the only one that is not loopback.
///
/// # Errors
/// The setting is no address, or it is empty and nothing else decides.
pub fn advertised(configured: &str) -> Result<IpAddr, AddressError> {
    if !configured.is_empty() {
        let bare = unbracketed(configured);
        return bare
            .parse()
            .map_err(|_| AddressError::Bad(configured.to_owned()));
    }
    // Addresses of documentation: nothing is sent, the system only chooses a source.
    let routes = [
        (
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::from([192, 0, 2, 1]),
        ),
        (
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        ),
    ];
    for (any, far) in routes {
        let source = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect((far, 9))?;
            socket.local_addr()
        });
        if let Ok(source) = source
            && !source.ip().is_loopback()
            && !source.ip().is_unspecified()
        {
            return Ok(source.ip());
        }
    }
    let v4 = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    the_only(&v4, &v6)
}

/// `host:port` as URLs have it: IPv6 in brackets.
#[must_use]
pub fn host_and_port(address: IpAddr, port: u16) -> String {
    SocketAddr::new(address, port).to_string()
}

/// The one address in the kernel's lists.
fn the_only(fib_trie: &str, if_inet6: &str) -> Result<IpAddr, AddressError> {
    let mut found: Vec<IpAddr> = Vec::new();
    let mut last = "";
    for line in fib_trie.lines() {
        // `|-- 10.0.0.2`, then on a line of its own `/32 host LOCAL`.
        let line = line.trim();
        if line.ends_with("/32 host LOCAL") {
            found.extend(last.parse::<Ipv4Addr>().map(IpAddr::from));
        } else if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        }
    }
    for line in if_inet6.lines() {
        // Address, interface, length of the prefix, scope (00 is global), flags, name.
        let mut words = line.split_whitespace();
        let digits = words
            .next()
            .and_then(|digits| u128::from_str_radix(digits, 16).ok());
        if let (Some(digits), Some("00")) = (digits, words.nth(2)) {
            found.push(Ipv6Addr::from(digits).into());
        }
    }
    found.retain(|address| !address.is_loopback());
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [only] => Ok(*only),
        all => Err(AddressError::Unknown(all.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_address_is_taken_with_and_without_brackets() {
        assert_eq!(advertised("240.1.2.3"), Ok([240, 1, 2, 3].into()));
        for text in ["fd00:1::", "[fd00:1::]"] {
            let address = advertised(text).unwrap();
            assert_eq!(host_and_port(address, 4040), "[fd00:1::]:4040");
        }
        for bad in ["host", "[fd00:1::", "10.0.0.1:80", "${POD_IP}"] {
            assert_eq!(advertised(bad), Err(AddressError::Bad(bad.to_owned())));
        }
    }

    const FIB: &str = "Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.150.0.0
        /16 link UNICAST
     |-- 192.150.0.5
        /32 host LOCAL
     |-- 192.150.255.255
        /32 link BROADCAST
";

    #[test]
    fn the_only_address_is_found_without_a_route() {
        let loopback = "00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(the_only(FIB, loopback), Ok([192, 150, 0, 5].into()));
        let v6 = "fd000001000000000000000000000002 02 40 00 80     eth0
fe80000000000000000000fffe000001 02 40 20 80     eth0\n";
        assert_eq!(the_only("", v6), Ok("fd00:1::2".parse().unwrap()));
        assert_eq!(the_only(FIB, v6), Err(AddressError::Unknown(2)));
        assert_eq!(the_only("", ""), Err(AddressError::Unknown(0)));
    }
}
