//! Where a replica is.

use std::net::IpAddr;

use http::uri::{Authority, Uri};

/// `http://HOST:PORT` or `https://HOST:PORT`.
#[derive(Clone, Debug)]
pub struct Address {
    /// The host and the port as they were given.
    pub authority: Authority,
    /// A name or an IP address, without brackets.
    pub host: String,
    /// 80 or 443 if none was given.
    pub port: u16,
    /// `https`.
    pub is_tls: bool,
}

impl Address {
    /// What is wrong with `text`, if it is no address.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("must start with http:// or https://".to_owned()),
        };
        let is_bare = uri.path() == "/" && uri.query().is_none();
        let authority = uri.authority().filter(|_| is_bare).ok_or("must be a host and a port and nothing else")?;
        // A port that is no port would be taken for none, and a user's name would be sent.
        let host_and_port = match authority.port_u16() {
            Some(port) => format!("{}:{port}", authority.host()),
            None => authority.host().to_owned(),
        };
        if authority.host().is_empty() || *authority != *host_and_port {
            return Err("must be a host and a port and nothing else".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
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
        assert_eq!(Address::parse("http://portcullis.example").unwrap().port, 80);
        for wrong in
            ["127.0.0.1:50051", "ftp://a:1", "http://a:1/path", "http://a:1?q", "http://user@a:1", "http://a:99999", ""]
        {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let is_loopback = |text: &str| Address::parse(text).unwrap().is_loopback();
        assert!(is_loopback("http://localhost:1") && is_loopback("http://127.9.9.9:1"));
        assert!(!is_loopback("http://localhost.example:1") && !is_loopback("http://10.0.0.1:1"));
    }
}
