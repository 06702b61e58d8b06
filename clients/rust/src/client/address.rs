//! Where a replica is.

use std::net::IpAddr;

use http::uri::{Authority, Uri};

const NOT_BARE: &str = "must be a host and a port and nothing else";

const GRPC_TARGET: &str = "must be http://HOST:PORT or https://HOST:PORT, not a target of gRPC (dns:///): all addresses of \
     the name are used all the same";

/// `http://HOST:PORT` or `https://HOST:PORT`.
#[derive(Clone, Debug)]
pub struct Address {
    /// The host and the port as they were given.
    pub authority: Authority,
    /// A name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
    /// `https`.
    pub is_tls: bool,
}

impl Address {
    /// What is wrong with `text`, if it is no address. Does not repeat it: it may be a secret in the wrong place.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("dns:") {
            return Err(GRPC_TARGET);
        }
        let uri: Uri = text.parse().map_err(|_| "is no URL")?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("must start with http:// or https://"),
        };
        let is_bare = uri.path() == "/" && uri.query().is_none();
        let authority = uri.authority().filter(|_| is_bare).ok_or(NOT_BARE)?;
        let port = authority.port_u16().ok_or("must have a port")?;
        // A user's name would be sent.
        if authority.host().is_empty() || *authority != *format!("{}:{port}", authority.host()) {
            return Err(NOT_BARE);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { authority: authority.clone(), host, port, is_tls })
    }

    /// Whether the way there stays within this machine.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        let address = Address::parse("https://[::1]:50051").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.is_tls), ("::1", 50051, true));
        assert!(address.is_loopback());
        for wrong in [
            "127.0.0.1:50051",
            "ftp://a:1",
            "http://a:1/path",
            "http://a:1?q",
            "http://user@a:1",
            "http://a:99999",
            "http://a:",
            "http://a",
            "https://[::1]",
            "http://:1",
            "",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let is_loopback = |text: &str| Address::parse(text).unwrap().is_loopback();
        for local in ["http://localhost:1", "http://LocalHost:1", "http://127.9.9.9:1", "http://[::1]:1"] {
            assert!(is_loopback(local), "{local}");
        }
        for other in
            ["http://localhost.example:1", "http://10.0.0.1:1", "http://0.0.0.0:1", "http://[::ffff:127.0.0.1]:1"]
        {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
