//! Who is calling, and may they. Decided before anything of the request is validated or looked up (AIP-211).

use std::convert::Infallible;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{Extensions, HeaderMap, Request as HttpRequest, Response as HttpResponse, header};
use tonic::server::NamedService;
use tonic::{Request, Status};
use tower::Service;

use super::{admitted, request_message, status};
use crate::admission::{Admission, Charge, Permit, Refused};
use crate::key::permission::{Permission, Reach, reach};
use crate::manage::Principal;
use crate::security_events::{AuthenticationFailure, Denial, SecurityEvents};
use crate::transport::{ConnectionState, Peer, RequestBody, RequestBytes};
use crate::verify::verdict::Verdict;
use crate::verify::{CachedKey, Verifier, VerifyError};

/// Tells callers by their root keys.
#[derive(Clone)]
pub struct Callers {
    verifier: Arc<Verifier>,
    admission: Arc<Admission>,
    events: Arc<SecurityEvents>,
}

/// An authenticated caller.
pub struct Caller {
    key: Arc<CachedKey>,
    peer: String,
}

impl Callers {
    /// Callers whose root keys `verifier` verifies, and whose calls `admission` admits. `events` hears of whoever is
    /// refused.
    pub fn new(verifier: Arc<Verifier>, admission: Arc<Admission>, events: Arc<SecurityEvents>) -> Self {
        Self { verifier, admission, events }
    }

    /// The caller that these headers name, calling from `peer`.
    ///
    /// # Errors
    /// UNAUTHENTICATED without a valid root key; UNAVAILABLE if that cannot be found out.
    async fn authenticate(&self, headers: &HeaderMap, peer: String) -> Result<Caller, Status> {
        let failed = |failure, status: Status| {
            self.events.authentication_failed(failure, &peer);
            status
        };
        let credential = match credential(headers) {
            Ok(credential) => credential,
            Err(failure @ AuthenticationFailure::Missing) => return Err(failed(failure, status::credential_missing())),
            Err(failure) => return Err(failed(failure, status::credential_invalid())),
        };
        let failure = match self.verifier.verify_root(credential, address(&peer)).await {
            Ok(Verdict::Valid(key, _)) => return Ok(Caller { key, peer }),
            Ok(Verdict::Malformed) => AuthenticationFailure::Malformed,
            Ok(Verdict::NotFound) => AuthenticationFailure::Unknown,
            Ok(Verdict::Revoked(_)) => AuthenticationFailure::Revoked,
            Ok(Verdict::Expired(_)) => AuthenticationFailure::Expired,
            Ok(_) => AuthenticationFailure::Disabled,
            Err(error @ VerifyError::Throttled(_)) => {
                return Err(failed(AuthenticationFailure::Throttled, status::from_verify(error)));
            }
            Err(error) => return Err(status::from_verify(error)),
        };
        Err(failed(failure, status::credential_invalid()))
    }

    /// The caller that these headers name, if that is known without waiting. From where it calls is left open.
    pub fn known(&self, headers: &HeaderMap) -> Option<Caller> {
        match self.verifier.verify_known_root(credential(headers).ok()?)? {
            Verdict::Valid(key, _) => Some(Caller { key, peer: String::new() }),
            _ => None,
        }
    }

    /// Charges the call of a guarded service to its root key, if that is known without waiting: a refusal here costs far less
    /// than one from the task of the call, and a caller has no more tasks than calls in its budget.
    ///
    /// # Errors
    /// The call is not admitted.
    pub fn charge(&self, request: &mut HttpRequest<RequestBody>) -> Result<(), Refused> {
        let path = request.uri().path();
        let Some(kind) = admitted::kind(path).filter(|_| admitted::is_guarded(path)) else { return Ok(()) };
        let Some(caller) = self.known(request.headers()) else { return Ok(()) };
        request.body().connection().authenticated(caller.key.id());
        let charge = self.admission.charge_caller(kind, caller.key.id())?;
        request.extensions_mut().insert(Arc::new(charge));
        Ok(())
    }

    /// Counts a Verify that came too late to be served.
    pub fn note_late(&self) {
        self.admission.note_late();
    }

    /// Whether these headers bear a root key that is known, or one that only this installation can have made. Says so
    /// without waiting, and without more than that.
    pub fn are_likely(&self, headers: &HeaderMap) -> bool {
        let credential = credential(headers);
        credential.is_ok_and(|credential| self.verifier.is_plausible_root(credential)) || self.known(headers).is_some()
    }

    /// Admits a call of `caller`: by the budget of its root key, once its message is there, and when a place is free. A call
    /// that has to be refused is not read; and one that is not there takes nothing that others wait for.
    async fn admit(
        &self,
        mut request: HttpRequest<Body>,
        caller: &Caller,
    ) -> Result<(HttpRequest<Body>, Option<Permit>), Status> {
        let path = request.uri().path();
        let (kind, takes_stream) = (admitted::kind(path), admitted::takes_stream(path));
        let charge = match (kind, request.extensions_mut().remove::<Arc<Charge>>()) {
            (None, _) => None,
            (Some(_), Some(charge)) => Some(charge),
            (Some(kind), None) => {
                let charged = self.admission.charge_caller(kind, caller.key.id());
                Some(Arc::new(charged.map_err(status::not_admitted)?))
            }
        };
        if !takes_stream {
            let (head, body) = request.into_parts();
            request = HttpRequest::from_parts(head, request_message::whole(body, kind).await?);
        }
        let permit = match charge {
            Some(charge) => Some(self.admission.admit(charge).await.map_err(status::not_admitted)?),
            None => None,
        };
        Ok((request, permit))
    }

    /// `service`, open to authenticated callers only.
    pub fn guard<S>(&self, service: S) -> Guarded<S> {
        Guarded { service, callers: self.clone() }
    }
}

/// A service whose handlers find their caller by [`of`]. A call without one, or one that is not admitted, never gets as far
/// as to be decoded.
#[derive(Clone)]
pub struct Guarded<S> {
    service: S,
    callers: Callers,
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<HttpRequest<Body>> for Guarded<S>
where
    S: Service<HttpRequest<Body>, Response = HttpResponse<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        // The one that was polled ready answers; its copy waits for the next call.
        let next = self.service.clone();
        let mut service = mem::replace(&mut self.service, next);
        let callers = self.callers.clone();
        Box::pin(async move {
            let peer = peer(request.extensions());
            let caller = match callers.authenticate(request.headers(), peer).await {
                Ok(caller) => Arc::new(caller),
                Err(status) => return Ok(status.into_http()),
            };
            if let Some(connection) = request.extensions().get::<Arc<ConnectionState>>() {
                connection.authenticated(caller.key.id());
            }
            let bytes = request.extensions().get::<Arc<RequestBytes>>().cloned();
            if let Some(bytes) = &bytes {
                bytes.set_owner(caller.key.id());
            }
            let (mut request, permit) = match callers.admit(request, &caller).await {
                Ok(admitted) => admitted,
                Err(status) => return Ok(status.into_http()),
            };
            let uri = request.uri().clone();
            request.extensions_mut().insert((caller.clone(), callers.verifier.clone()));
            let response = service.call(request).await?;
            // What the request takes counts until it is answered.
            drop(bytes);
            let denials = Denials { events: callers.events.clone(), caller, method: uri.path().to_owned() };
            denials.note(response.headers());
            let response = if admitted::takes_stream(uri.path()) {
                response.map(|body| Body::new(DeniableBody { body, denials }))
            } else {
                admitted::encoded(response).await
            };
            Ok(match permit {
                Some(permit) => admitted::held(response, permit),
                None => response,
            })
        })
    }
}

/// Notes that a call was denied, if its answer says so.
struct Denials {
    events: Arc<SecurityEvents>,
    caller: Arc<Caller>,
    method: String,
}

impl Denials {
    /// `headers` are those that say how the call ended, or its trailers.
    fn note(&self, headers: &HeaderMap) {
        let Some(permission) = status::missing_permission(headers) else { return };
        let Caller { key, peer } = &*self.caller;
        let (root_key_id, method) = (key.id().to_owned(), self.method.clone());
        self.events.permission_denied(Denial { root_key_id, method, permission, peer: peer.clone() });
    }
}

/// The answers of a stream, which may be denied once it has begun.
struct DeniableBody {
    body: Body,
    denials: Denials,
}

impl http_body::Body for DeniableBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.denials.note(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The caller of a request to a guarded service, as he was when it began, and who knows him: for calls that look again.
///
/// # Errors
/// UNAUTHENTICATED if there is none: a service that somebody forgot to guard is closed.
pub fn at_first<T>(request: &Request<T>) -> Result<(Arc<Caller>, Arc<Verifier>), Status> {
    request.extensions().get::<(Arc<Caller>, Arc<Verifier>)>().cloned().ok_or_else(status::credential_missing)
}

/// The caller of a request to a guarded service, as he is now that the request is here: he may have taken hours to send
/// it, and his root key may have been revoked since he began.
///
/// # Errors
/// As of [`at_first`] and [`Caller::renewed`].
pub fn of<T>(request: &Request<T>) -> impl Future<Output = Result<Arc<Caller>, Status>> + Send + use<T> {
    let found = at_first(request);
    async move {
        let (caller, verifier) = found?;
        if caller.is_current(&verifier) { Ok(caller) } else { Ok(Arc::new(caller.renewed(&verifier).await?)) }
    }
}

/// Where a connection comes from; empty if that is not known.
fn peer(extensions: &Extensions) -> String {
    extensions.get::<Peer>().map(|Peer(addr)| addr.to_string()).unwrap_or_default()
}

/// The address of a peer, without its port.
fn address(peer: &str) -> Option<IpAddr> {
    peer.parse().ok().map(|peer: SocketAddr| peer.ip())
}

/// The credential that these headers carry. Of several none counts: what stands before this server may have looked at
/// another than this server would.
fn credential(headers: &HeaderMap) -> Result<&str, AuthenticationFailure> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let header = all.next().ok_or(AuthenticationFailure::Missing)?;
    let only = all.next().is_none().then_some(header);
    only.and_then(|header| header.to_str().ok()).and_then(bearer).ok_or(AuthenticationFailure::Malformed)
}

/// The credential of an `authorization` header. The scheme's case does not matter (RFC 9110, 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, credential) = header.split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}

impl Caller {
    /// Where the caller may do this; PERMISSION_DENIED if nowhere.
    pub fn reach(&self, permission: Permission) -> Result<Reach, Status> {
        reach(self.key.grants(), permission).ok_or_else(|| status::permission_missing(permission))
    }

    /// Whether the caller may do this in `keyspace`; PERMISSION_DENIED if not, whether or not there is such a keyspace.
    pub fn may(&self, permission: Permission, keyspace: &str) -> Result<(), Status> {
        if self.reach(permission)?.includes(keyspace) { Ok(()) } else { Err(status::permission_missing(permission)) }
    }

    /// Where a verification may look: in the keyspace that is named, else wherever the caller may. Root keys are found
    /// only by naming `system`, so that no request of a customer's is ever let in by one.
    pub fn verification_reach(&self, keyspace: &str) -> Result<&Reach, Status> {
        let missing = || status::permission_missing(Permission::KeysVerify);
        match self.key.verify_reach().ok_or_else(missing)? {
            Reach::Everywhere if keyspace.is_empty() => Ok(&Reach::AllButSystem),
            reach if keyspace.is_empty() || reach.includes(keyspace) => Ok(reach),
            _ => Err(missing()),
        }
    }

    /// The id of its root key.
    pub fn id(&self) -> &str {
        self.key.id()
    }

    /// Whether its root key was valid a moment ago, as far as `verifier` knows without asking.
    pub fn is_current(&self, verifier: &Verifier) -> bool {
        verifier.is_current(&self.key)
    }

    /// The caller as it is now: for calls that last.
    ///
    /// # Errors
    /// UNAUTHENTICATED if its root key is not valid any more; UNAVAILABLE if that cannot be found out.
    pub async fn renewed(&self, verifier: &Verifier) -> Result<Self, Status> {
        let key = verifier.renew(&self.key).await.map_err(status::from_verify)?;
        Ok(Self { key: key.ok_or_else(status::credential_invalid)?, peer: self.peer.clone() })
    }

    /// Its root key.
    pub fn key(&self) -> &CachedKey {
        &self.key
    }

    /// The caller as the audit trail names it.
    pub fn principal(&self) -> Principal<'_> {
        Principal { name: self.key.id(), peer: &self.peer }
    }
}
