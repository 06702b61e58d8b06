//! The guard of tonic's servers.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response};
use tonic::Status;
use tonic::server::NamedService;
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::{Layer, Service};

use super::refusal::Refusal;
use super::{Guard, Rule};
use crate::client::Client;

const DOMAIN: &str = "portcullis.guard";

/// A layer before gRPC services: it answers calls without a fit key itself, and puts the [`Identity`](super::Identity) of
/// others into their extensions.
///
/// Before a whole server it is `Server::builder().layer(guard)`; before one service `add_service(guard.layer(service))`,
/// which leaves others, such as health, open.
///
/// The address of the peer is that of tonic's connection, with the feature `tonic-server`; otherwise give
/// [`client_ip`](Self::client_ip), or keys that may be used from some networks only are refused.
#[derive(Clone, Debug)]
pub struct GrpcGuard(Arc<Settings>);

type ClientIp = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

#[derive(Clone)]
struct Settings {
    guard: Guard,
    rule: Rule,
    methods: HashMap<String, Rule>,
    client_ip: ClientIp,
}

impl GrpcGuard {
    /// Lets through what `rule` allows.
    pub fn new(client: &Client, rule: Rule) -> Self {
        Self(Arc::new(Settings { guard: Guard::new(client), rule, methods: HashMap::new(), client_ip: Arc::new(peer) }))
    }

    /// The rule of one method, such as `/orders.v1.Orders/ListOrders`, instead of the one for all.
    ///
    /// # Panics
    ///
    /// If `path` is not of the form `/SERVICE/METHOD`: no call would ever match it.
    pub fn method(self, path: impl Into<String>, rule: Rule) -> Self {
        let path = path.into();
        let is_path = path.starts_with('/') && path.matches('/').count() == 2;
        assert!(is_path, "a method is /SERVICE/METHOD, such as /orders.v1.Orders/ListOrders");
        self.with(|settings| drop(settings.methods.insert(path, rule)))
    }

    /// See [`Guard::dangerously_allow_when_unavailable`].
    pub fn dangerously_allow_when_unavailable(self, allow: bool) -> Self {
        self.with(|settings| settings.guard = settings.guard.clone().dangerously_allow_when_unavailable(allow))
    }

    /// How to find the address that a call comes from, for example behind a proxy that is trusted.
    pub fn client_ip(self, client_ip: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.client_ip = Arc::new(client_ip))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl<S> Layer<S> for GrpcGuard {
    type Service = GrpcGuarded<S>;

    fn layer(&self, inner: S) -> GrpcGuarded<S> {
        GrpcGuarded { settings: Arc::clone(&self.0), inner }
    }
}

/// A service behind a [`GrpcGuard`].
#[derive(Clone, Debug)]
pub struct GrpcGuarded<S> {
    settings: Arc<Settings>,
    inner: S,
}

impl<S: NamedService> NamedService for GrpcGuarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, In, Out> Service<Request<In>> for GrpcGuarded<S>
where
    S: Service<Request<In>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    In: Send + 'static,
    Out: Default,
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
            let rule = settings.methods.get(head.uri.path()).unwrap_or(&settings.rule);
            let client_ip = (settings.client_ip)(&head);
            match settings.guard.check(rule, &head.headers, client_ip).await {
                Ok(identity) => {
                    head.extensions.insert(identity);
                    inner.call(Request::from_parts(head, body)).await
                }
                Err(refusal) => Ok(Status::from(&refusal).into_http()),
            }
        })
    }
}

#[cfg(feature = "tonic-server")]
fn peer(head: &Parts) -> Option<IpAddr> {
    use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

    let plain = head.extensions.get::<TcpConnectInfo>();
    let connection = plain.or_else(|| Some(head.extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.get_ref()))?;
    connection.remote_addr().map(|address| address.ip())
}

#[cfg(not(feature = "tonic-server"))]
fn peer(_: &Parts) -> Option<IpAddr> {
    None
}

impl From<&Refusal> for Status {
    fn from(refusal: &Refusal) -> Self {
        let reason = refusal.reason();
        let mut metadata = HashMap::new();
        if !refusal.missing_scopes().is_empty() {
            metadata.insert("missing_scopes".to_owned(), refusal.missing_scopes().join(" "));
        }
        let mut details = ErrorDetails::with_error_info(reason.code().to_uppercase(), DOMAIN, metadata);
        if let Some(seconds) = refusal.retry_after() {
            details.set_retry_info(Some(Duration::from_secs(seconds)));
        }
        Status::with_error_details(reason.grpc_code(), reason.message(), details)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("guard", &self.guard)
            .field("rule", &self.rule)
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}
