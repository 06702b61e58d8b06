use std::env;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::Client;
use super::address::Address;
use crate::channel::{Channel, Origin, Tls};
use crate::root_key::RootKey;

const SERVER_VARIABLE: &str = "PORTCULLIS_SERVER";
const ALLOW_PLAINTEXT_VARIABLE: &str = "PORTCULLIS_ALLOW_PLAINTEXT";
const ROOT_KEY_VARIABLE: &str = "PORTCULLIS_ROOT_KEY";
const SERVER_DEFAULT: &str = "http://127.0.0.1:50051";
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How a [`Client`] is to be. Its `Debug` shows no address, which may be a secret in the wrong place.
pub struct ClientBuilder {
    addresses: Vec<String>,
    root_key: Option<RootKey>,
    ca_certificates: Option<Vec<u8>>,
    allow_plaintext: Option<bool>,
    timeout: Duration,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            root_key: None,
            ca_certificates: None,
            allow_plaintext: None,
            timeout: TIMEOUT_DEFAULT,
        }
    }
}

impl ClientBuilder {
    /// Where the replicas are: each `http://HOST:PORT`, or each `https://HOST:PORT`. A name that has several
    /// addresses stands for as many replicas. By default what the variable `PORTCULLIS_SERVER` says, else `http://127.0.0.1:50051`.
    pub fn addresses<T: Into<String>>(mut self, addresses: impl IntoIterator<Item = T>) -> Self {
        self.addresses.extend(addresses.into_iter().map(Into::into));
        self
    }

    /// Where the server is; see [`addresses`](Self::addresses).
    pub fn address(self, address: impl Into<String>) -> Self {
        self.addresses([address])
    }

    /// The root key that every call carries. By default what the variable `PORTCULLIS_ROOT_KEY` says.
    pub fn root_key(mut self, root_key: impl Into<RootKey>) -> Self {
        self.root_key = Some(root_key.into());
        self
    }

    /// The certificate authorities to trust over `https://`, as PEM, instead of the system's.
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificates = Some(pem.into());
        self
    }

    /// Whether the root key may be sent over `http://` to another machine, because something else encrypts the way
    /// there. By default what the variable `PORTCULLIS_ALLOW_PLAINTEXT` says, `true` or `false`; else it may not.
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.allow_plaintext = Some(allow);
        self
    }

    /// The deadline of a call that has none of its own by [`tonic::Request::set_timeout`], its retries included. A stream
    /// has none. More than 0, and up to a day; by default 1 second.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Begins to connect, and does not wait for it. Must be called within a Tokio runtime, on which the connections
    /// then live.
    pub fn build(self) -> Result<Client, BuildError> {
        let bearer = self.bearer()?;
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            return Err(BuildError::Timeout);
        }
        let allow_plaintext = match self.allow_plaintext {
            Some(allow) => allow,
            None => plaintext_allowed(&env::var(ALLOW_PLAINTEXT_VARIABLE).unwrap_or_default())?,
        };
        let mut tls = None;
        let mut origins: Vec<Origin> = Vec::new();
        for (number, text) in (1..).zip(self.addresses_or_default()) {
            let address = Address::parse(&text).map_err(|why| BuildError::Address { number, why })?;
            if !address.is_tls && !address.is_loopback() && !allow_plaintext {
                return Err(BuildError::Plaintext { number });
            }
            if origins.first().is_some_and(|first| first.tls.is_some() != address.is_tls) {
                return Err(BuildError::MixedSchemes);
            }
            if address.is_tls && tls.is_none() {
                tls = Some(Tls::new(self.ca_certificates.as_deref()).map_err(BuildError::CaCertificates)?);
            }
            let tls = tls.clone().filter(|_| address.is_tls);
            origins.push(Origin { authority: address.authority, host: address.host, port: address.port, tls });
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        Ok(Client { channel: Channel::open(origins, bearer, self.timeout, &runtime) })
    }

    fn bearer(&self) -> Result<http::HeaderValue, BuildError> {
        let root_key = match &self.root_key {
            Some(key) => key.clone(),
            None => RootKey::from(env::var(ROOT_KEY_VARIABLE).unwrap_or_default()),
        };
        if root_key.is_blank() {
            return Err(BuildError::RootKeyMissing);
        }
        root_key.bearer().ok_or(BuildError::RootKeyUnfit)
    }

    fn addresses_or_default(&self) -> Vec<String> {
        if !self.addresses.is_empty() {
            return self.addresses.clone();
        }
        let said = env::var(SERVER_VARIABLE).ok().filter(|address| !address.is_empty());
        vec![said.unwrap_or_else(|| SERVER_DEFAULT.to_owned())]
    }
}

fn plaintext_allowed(variable: &str) -> Result<bool, BuildError> {
    match variable {
        "true" | "1" | "yes" | "on" => Ok(true),
        "" | "false" | "0" | "no" | "off" => Ok(false),
        other => Err(BuildError::AllowPlaintext(other.to_owned())),
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("allow_plaintext", &self.allow_plaintext)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why a client cannot be built. It repeats no address.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no root key.
    RootKeyMissing,
    /// The root key has characters that a header cannot carry.
    RootKeyUnfit,
    /// An address is none.
    Address {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The variable `PORTCULLIS_ALLOW_PLAINTEXT` is neither true nor false, but this.
    AllowPlaintext(String),
    /// The root key would go to another machine unencrypted.
    Plaintext {
        /// Which address that is, from 1.
        number: usize,
    },
    /// Some addresses are `http://` and some `https://`.
    MixedSchemes,
    /// The timeout is 0, or more than a day.
    Timeout,
    /// There are no certificate authorities, or they cannot be read.
    CaCertificates(String),
    /// Not within a Tokio runtime.
    NoRuntime,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RootKeyMissing => write!(f, "there is no root key: give one, or set {ROOT_KEY_VARIABLE}"),
            Self::RootKeyUnfit => f.write_str("the root key has characters that a header cannot carry"),
            Self::Address { number, why } => write!(f, "address {number} {why}"),
            Self::AllowPlaintext(is) => write!(f, "{ALLOW_PLAINTEXT_VARIABLE} must be true or false; is {is:?}"),
            Self::Plaintext { number } => write!(
                f,
                "refusing to send the root key to address {number} in plain text: use https://, or allow_plaintext(true) or \
                 {ALLOW_PLAINTEXT_VARIABLE}=true if something else encrypts the way there"
            ),
            Self::MixedSchemes => f.write_str("all addresses must be http://, or all https://"),
            Self::Timeout => f.write_str("the timeout must be more than 0 and at most a day"),
            Self::CaCertificates(why) => write!(f, "the CA certificates: {why}"),
            Self::NoRuntime => f.write_str("a client must be built within a Tokio runtime"),
        }
    }
}

impl Error for BuildError {}

#[cfg(test)]
mod tests {
    use super::plaintext_allowed;

    #[test]
    fn the_variable_is_true_or_false() {
        for (value, allowed) in [("true", true), ("1", true), ("on", true), ("false", false), ("0", false), ("", false)]
        {
            assert_eq!(plaintext_allowed(value).unwrap(), allowed, "{value}");
        }
        let error = plaintext_allowed("please").unwrap_err();
        assert_eq!(error.to_string(), "PORTCULLIS_ALLOW_PLAINTEXT must be true or false; is \"please\"");
    }
}
