//! Which web pages may call: those of the origins that the operator names, and no other.

use std::fmt;

use http::{HeaderMap, HeaderValue, Uri, header};

/// The origins whose pages may call.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<HeaderValue>);

/// What is no origin.
#[derive(Debug, thiserror::Error)]
#[error("must be origins as browsers say them, such as https://console.example.com; is {0:?}")]
pub struct OriginError(String);

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sender {
    /// No web page.
    Program,
    /// A page that may call.
    Page,
    /// A page that may not.
    Stranger,
}

impl Origins {
    /// These origins.
    ///
    /// # Errors
    /// If one is none. There is no sign for all origins.
    pub fn new<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, OriginError> {
        let origins = origins.into_iter().map(|text| origin(text).ok_or_else(|| OriginError(text.to_owned())));
        Ok(Self(origins.collect::<Result<_, _>>()?))
    }

    /// Who sent a request with these headers. A browser asks before a page sends one, but not always.
    pub fn sender(&self, headers: &HeaderMap) -> Sender {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Sender::Program,
            (Some(origin), None) if self.0.contains(origin) => Sender::Page,
            _ => Sender::Stranger,
        }
    }

    /// As headers say them.
    pub fn as_headers(&self) -> &[HeaderValue] {
        &self.0
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().filter_map(|origin| origin.to_str().ok()).collect();
        f.write_str(&texts.join(","))
    }
}

/// `text`, if it is an origin as a browser would say it (RFC 6454, 6.2): one said otherwise would never match.
fn origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let host = uri.host().filter(|host| !host.is_empty() && !host.contains('*'))?;
    let own_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let port = uri.port_u16().filter(|port| *port != own_port).map(|port| format!(":{port}")).unwrap_or_default();
    let said = format!("{scheme}://{}{port}", host.to_ascii_lowercase());
    if said == text { HeaderValue::from_str(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_said_as_browsers_say_them() {
        for good in ["https://a.example", "http://localhost:3000", "https://[::1]:8443", "http://127.0.0.1"] {
            assert!(origin(good).is_some(), "{good}");
        }
        for bad in [
            "*",
            "null",
            "",
            "a.example",
            "https://a.example/",
            "https://A.example",
            "https://*.example",
            "https://a.example:443",
            "http://a.example:80",
            "https://u@a.example",
            "ftp://a.example",
            "https://a.example:",
            "https://a.example?x",
            "https://",
        ] {
            assert!(origin(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn who_sent_a_request() {
        let origins = Origins::new(["https://a.example"]).unwrap();
        let sender = |said: &[&'static str]| {
            let said = said.iter().map(|origin| (header::ORIGIN, HeaderValue::from_static(origin)));
            origins.sender(&said.collect())
        };
        assert_eq!(sender(&[]), Sender::Program);
        assert_eq!(sender(&["https://a.example"]), Sender::Page);
        for stranger in [&["https://b.example"][..], &["null"], &[""], &["https://a.example", "https://a.example"]] {
            assert_eq!(sender(stranger), Sender::Stranger, "{stranger:?}");
        }
        assert_eq!(Origins::default().sender(&HeaderMap::new()), Sender::Program);
    }
}
