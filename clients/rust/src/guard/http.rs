//! The guard of HTTP services: axum's routers, and whatever else is of tower.

use std::fmt;
use std::mem;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::json;
use tower::{Layer, Service};

use super::refusal::{Reason, Refusal};
use super::{Guard, Rule};
use crate::client::Client;

const REALM_DEFAULT: &str = "api";

/// A layer before HTTP services: it answers requests without a fit key itself, and puts the [`Identity`](super::Identity)
/// of others into their extensions.
///
/// The address of the peer is that of axum's `ConnectInfo<SocketAddr>`, with the feature `axum` and
/// `into_make_service_with_connect_info`; otherwise give [`client_ip`](Self::client_ip), or keys that may be used from
/// some networks only are refused.
#[derive(Clone, Debug)]
pub struct HttpGuard(Arc<Settings>);

type ClientIp = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

#[derive(Clone)]
struct Settings {
    guard: Guard,
    rule: Rule,
    realm: String,
    client_ip: ClientIp,
}

impl HttpGuard {
    /// Lets through what `rule` allows.
    pub fn new(client: &Client, rule: Rule) -> Self {
        Self(Arc::new(Settings {
            guard: Guard::new(client),
            rule,
            realm: REALM_DEFAULT.to_owned(),
            client_ip: Arc::new(peer),
        }))
    }

    /// See [`Guard::dangerously_allow_when_unavailable`].
    pub fn dangerously_allow_when_unavailable(self, allow: bool) -> Self {
        self.with(|settings| settings.guard = settings.guard.clone().dangerously_allow_when_unavailable(allow))
    }

    /// The realm of challenges, by default `api`.
    ///
    /// # Panics
    ///
    /// If it is empty, or has characters other than printable ASCII.
    pub fn realm(self, realm: &str) -> Self {
        let is_printable = realm.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        assert!(is_printable && !realm.is_empty(), "a realm must be printable ASCII, and not empty");
        self.with(|settings| settings.realm = quotable(realm))
    }

    /// How to find the address that a request comes from, for example behind a proxy that is trusted.
    pub fn client_ip(self, client_ip: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.client_ip = Arc::new(client_ip))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl<S> Layer<S> for HttpGuard {
    type Service = HttpGuarded<S>;

    fn layer(&self, inner: S) -> HttpGuarded<S> {
        HttpGuarded { settings: Arc::clone(&self.0), inner }
    }
}

/// A service behind an [`HttpGuard`].
#[derive(Clone, Debug)]
pub struct HttpGuarded<S> {
    settings: Arc<Settings>,
    inner: S,
}

impl<S, In, Out> Service<Request<In>> for HttpGuarded<S>
where
    S: Service<Request<In>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    In: Send + 'static,
    Out: From<String>,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let settings = Arc::clone(&self.settings);
        // The clone need not be ready; the one that is goes along.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let client_ip = (settings.client_ip)(&head);
            match settings.guard.check(&settings.rule, &head.headers, client_ip).await {
                Ok(identity) => {
                    head.extensions.insert(identity);
                    inner.call(Request::from_parts(head, body)).await
                }
                Err(refusal) => Ok(answer(&refusal, &settings.realm)),
            }
        })
    }
}

#[cfg(feature = "axum")]
fn peer(head: &Parts) -> Option<IpAddr> {
    super::axum::peer(head)
}

#[cfg(not(feature = "axum"))]
fn peer(_: &Parts) -> Option<IpAddr> {
    None
}

fn answer<B: From<String>>(refusal: &Refusal, realm: &str) -> Response<B> {
    let reason = refusal.reason();
    let mut body = json!({"error": reason.code(), "message": reason.message()});
    if !refusal.missing_scopes().is_empty() {
        body["missing_scopes"] = refusal.missing_scopes().into();
    }
    let mut response = Response::new(B::from(body.to_string()));
    *response.status_mut() = reason.http_status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge(refusal, realm) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// By RFC 6750.
fn challenge(refusal: &Refusal, realm: &str) -> Option<HeaderValue> {
    let reason = refusal.reason();
    let error = match reason {
        Reason::MissingKey => None,
        Reason::AmbiguousKey => Some("invalid_request"),
        Reason::InsufficientScope => Some("insufficient_scope"),
        _ if reason.http_status() == StatusCode::UNAUTHORIZED => Some("invalid_token"),
        _ => return None,
    };
    let mut challenge = format!("Bearer realm=\"{realm}\"");
    if let Some(error) = error {
        challenge += &format!(", error=\"{error}\", error_description=\"{}\"", reason.message());
    }
    if !refusal.missing_scopes().is_empty() {
        challenge += &format!(", scope=\"{}\"", quotable(&refusal.missing_scopes().join(" ")));
    }
    // Scopes that cannot be in a header are in the body.
    HeaderValue::try_from(challenge).ok()
}

/// What stands for `text` between quotation marks.
fn quotable(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("guard", &self.guard)
            .field("rule", &self.rule)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}
