//! From where a key may be used.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

/// Most networks of a key. Every verification looks through them.
pub const NETWORKS_MAX: usize = 100;

/// A network of IPv4 or IPv6 addresses. IPv4 addresses that are written as IPv6 ones (RFC 4291, 2.5.5.2) are IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// What is wrong, in words that follow "must".
impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let rule = "be a network such as 10.0.0.0/8 or 2001:db8::/32, or an address";
        let net = match text.parse::<IpNet>() {
            Ok(net) => net,
            Err(_) => text.parse::<IpAddr>().map(IpNet::from).map_err(|_| rule)?,
        };
        if net.trunc() != net {
            return Err("have only zeros behind its prefix");
        }
        Ok(Self(match (net, net.addr().to_canonical()) {
            (IpNet::V6(net), IpAddr::V4(addr)) if net.prefix_len() >= 96 => {
                Ipv4Net::new(addr, net.prefix_len() - 96).map_err(|_| rule)?.into()
            }
            _ => net,
        }))
    }
}

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The address that `text` is. What a socket's address has besides, a port or a zone, is refused.
pub fn address(text: &str) -> Result<IpAddr, &'static str> {
    text.parse().map_err(|_| "be an IPv4 or IPv6 address, without a port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, expect: Result<&str, ()>) {
        assert_eq!(
            text.parse::<Network>().map(|net| net.to_string()).map_err(drop).as_deref(),
            expect.as_ref().copied(),
            "{text}"
        );
    }

    #[test]
    fn networks() {
        reads("10.0.0.0/8", Ok("10.0.0.0/8"));
        reads("192.0.2.1", Ok("192.0.2.1/32"));
        reads("2001:DB8::/32", Ok("2001:db8::/32"));
        reads("::ffff:10.0.0.0/104", Ok("10.0.0.0/8"));
        reads("::ffff:192.0.2.1", Ok("192.0.2.1/32"));
        reads("::/0", Ok("::/0"));
        reads("0.0.0.0/0", Ok("0.0.0.0/0"));
        for bad in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0/8", "2001:db8::1/32", "fe80::1%eth0", "x", "10.0.0.0/-1"] {
            reads(bad, Err(()));
        }
    }

    #[track_caller]
    fn within(network: &str, inside: &str, expect: bool) {
        assert_eq!(
            network.parse::<Network>().unwrap().contains(address(inside).unwrap()),
            expect,
            "{inside} in {network}"
        );
    }

    #[test]
    fn addresses_are_in_networks() {
        within("10.0.0.0/8", "10.255.255.255", true);
        within("10.0.0.0/8", "::ffff:10.1.2.3", true);
        within("10.0.0.0/8", "11.0.0.0", false);
        within("::ffff:10.0.0.0/104", "10.1.2.3", true);
        within("2001:db8::/32", "2001:db8:ffff::1", true);
        within("2001:db8::/32", "10.0.0.1", false);
        within("::/0", "10.0.0.1", false);
        within("0.0.0.0/0", "::1", false);
        for bad in ["", "10.0.0.1:80", "[::1]", "::1%1", "localhost", "10.0.0.1 ", "010.0.0.1"] {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }
}
