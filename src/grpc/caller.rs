//! Who is calling, and may they. Decided before anything of the request is validated or looked up (AIP-211).

use std::convert::Infallible;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, Request as HttpRequest, Response as HttpResponse, header};
use tonic::server::NamedService;
use tonic::{Request, Status};
use tower::Service;

use super::{admitted, request_message, status};
use crate::admission::{Admission, Charge, Permit, Refused};
use crate::key::permission::{Permission, Reach, reach};
use crate::manage::Principal;
use crate::security_events::{AuthenticationFailure, CallRefusal, Denial, RefusedCall, SecurityEvents};
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
    /// `None` where the call is a Verify that takes nothing but memory: nothing is noted of it.
    origin: Option<Arc<Origin>>,
}

/// Where a call comes from and what it calls, and what hears of its refusal.
struct Origin {
    peer: String,
    method: String,
    events: Arc<SecurityEvents>,
}

impl Callers {
    /// Callers whose root keys `verifier` verifies, and whose calls `admission` admits. `events` hears of whoever is
    /// refused.
    pub fn new(verifier: Arc<Verifier>, admission: Arc<Admission>, events: Arc<SecurityEvents>) -> Self {
        Self { verifier, admission, events }
    }

    /// The caller that the headers of `request` name.
    ///
    /// # Errors
    /// UNAUTHENTICATED without a valid root key; UNAVAILABLE if that cannot be found out.
    async fn authenticate(&self, request: CallHead<'_>) -> Result<Caller, Status> {
        let CallHead { headers, method, peer } = request;
        let peer_text = || peer.map(|peer| peer.to_string()).unwrap_or_default();
        let failed = |failure, root_key_id: Option<&str>, status: Status| {
            self.events.authentication_failed(failure, root_key_id, &peer_text());
            status
        };
        let credential = match credential(headers) {
            Ok(credential) => credential,
            Err(failure @ AuthenticationFailure::Missing) => {
                return Err(failed(failure, None, status::credential_missing()));
            }
            Err(failure) => return Err(failed(failure, None, status::credential_invalid())),
        };
        let verdict = match self.verifier.verify_root(credential, peer.map(|peer| peer.ip())).await {
            Ok(verdict) => verdict,
            Err(error @ VerifyError::Throttled(_)) => {
                return Err(failed(AuthenticationFailure::Throttled, None, status::from_verify(error)));
            }
            Err(error) => {
                let status = status::from_verify(error);
                note_refusal(&self.events, &status, || (None, method.to_owned(), peer_text()));
                return Err(status);
            }
        };
        let failure = match &verdict {
            Verdict::Valid(key, _) => {
                let origin = Origin { peer: peer_text(), method: method.to_owned(), events: self.events.clone() };
                return Ok(Caller { key: key.clone(), origin: Some(Arc::new(origin)) });
            }
            Verdict::Malformed => AuthenticationFailure::Malformed,
            Verdict::NotFound => AuthenticationFailure::Unknown,
            Verdict::Revoked(_) => AuthenticationFailure::Revoked,
            Verdict::Expired(_) => AuthenticationFailure::Expired,
            _ => AuthenticationFailure::Disabled,
        };
        Err(failed(failure, verdict.key().map(|key| key.id()), status::credential_invalid()))
    }

    /// The caller that these headers name, if that is known without waiting. From where it calls is left open.
    pub fn known(&self, headers: &HeaderMap) -> Option<Caller> {
        match self.verifier.verify_known_root(credential(headers).ok()?)? {
            Verdict::Valid(key, _) => Some(Caller { key, origin: None }),
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
        let charge = self.admission.charge_caller(kind, caller.key.id()).inspect_err(|refused| {
            let refusal = match refused {
                Refused::Busy => CallRefusal::ManagementBusy,
                Refused::Caller(_) => CallRefusal::CallerLimit,
            };
            self.events.call_refused(refusal, || refused_call(Some(&caller), request));
        })?;
        request.extensions_mut().insert(Arc::new(charge));
        Ok(())
    }

    /// Notes a Verify that came too late to be served.
    pub fn note_late(&self, request: &HttpRequest<RequestBody>) {
        self.admission.note_late();
        let call = || refused_call(self.known(request.headers()).as_ref(), request);
        self.events.call_refused(CallRefusal::ServerBusy, call);
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
            let caller = match callers.authenticate(CallHead::of(&request)).await {
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
                Err(status) => {
                    caller.note_status(&status);
                    return Ok(status.into_http());
                }
            };
            let takes_stream = admitted::takes_stream(request.uri().path());
            request.extensions_mut().insert((caller.clone(), callers.verifier.clone()));
            let response = service.call(request).await?;
            // What the request takes counts until it is answered.
            drop(bytes);
            // The status of a call that failed before it answered anything.
            if let Some(status) = response.extensions().get::<Status>() {
                caller.note_status(status);
            }
            let response = if takes_stream {
                response.map(|body| Body::new(RefusableBody { body, caller }))
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

/// Tells `events` that a call was refused for want of room or budget, if `status` says so. `call` gives the id of its root
/// key, its method and its peer.
fn note_refusal(events: &SecurityEvents, status: &Status, call: impl FnOnce() -> (Option<String>, String, String)) {
    let Some(refusal) = status::call_refusal(status) else { return };
    events.call_refused(refusal, || {
        let (root_key_id, method, peer) = call();
        RefusedCall { root_key_id, method, peer, error: Some(status.message().to_owned()) }
    });
}

/// The call of `request`, which is refused before anything is done for it.
fn refused_call(caller: Option<&Caller>, request: &HttpRequest<RequestBody>) -> RefusedCall {
    RefusedCall {
        root_key_id: caller.map(|caller| caller.id().to_owned()),
        method: request.uri().path().to_owned(),
        peer: request.body().connection().peer().to_string(),
        error: None,
    }
}

/// The answers of a stream, which may be refused once it has begun.
struct RefusableBody {
    body: Body,
    caller: Arc<Caller>,
}

impl http_body::Body for RefusableBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(status) = frame.trailers_ref().and_then(status::of_failure)
        {
            self.caller.note_status(&status);
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

/// The parts of a request that say who calls what, and from where.
struct CallHead<'a> {
    headers: &'a HeaderMap,
    method: &'a str,
    /// `None`: it is not known.
    peer: Option<SocketAddr>,
}

impl<'a> CallHead<'a> {
    fn of(request: &'a HttpRequest<Body>) -> Self {
        let peer = request.extensions().get::<Peer>().map(|Peer(address)| *address);
        Self { headers: request.headers(), method: request.uri().path(), peer }
    }
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
        reach(self.key.grants(), permission).ok_or_else(|| status::permission_missing(permission, ""))
    }

    /// Whether the caller may do this in `keyspace`; PERMISSION_DENIED if not, whether or not there is such a keyspace.
    pub fn may(&self, permission: Permission, keyspace: &str) -> Result<(), Status> {
        let reach = reach(self.key.grants(), permission);
        let may = reach.is_some_and(|reach| reach.includes(keyspace));
        if may { Ok(()) } else { Err(status::permission_missing(permission, keyspace)) }
    }

    /// Where a verification may look: in the keyspace that is named, else wherever the caller may. Root keys are found
    /// only by naming `system`, so that no request of a customer's is ever let in by one.
    pub fn verification_reach(&self, keyspace: &str) -> Result<&Reach, Status> {
        let missing = || status::permission_missing(Permission::KeysVerify, keyspace);
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
        Ok(Self { key: key.ok_or_else(status::credential_invalid)?, origin: self.origin.clone() })
    }

    /// Notes that its call, or a part of it, was denied or refused, if `status` says so.
    pub fn note_status(&self, status: &Status) {
        let Some(origin) = &self.origin else { return };
        let Origin { peer, method, events } = &**origin;
        if let Some(permission) = status::missing_permission(status) {
            let (root_key_id, method, peer) = (self.id().to_owned(), method.clone(), peer.clone());
            events.permission_denied(Denial { root_key_id, method, permission, peer });
        } else {
            note_refusal(events, status, || (Some(self.id().to_owned()), method.clone(), peer.clone()));
        }
    }

    /// Notes that a part of its call was refused of which no status is made.
    pub fn note_refused(&self, refusal: CallRefusal) {
        let Some(origin) = &self.origin else { return };
        let Origin { peer, method, events } = &**origin;
        events.call_refused(refusal, || {
            let root_key_id = Some(self.id().to_owned());
            RefusedCall { root_key_id, method: method.clone(), peer: peer.clone(), error: None }
        });
    }

    /// Its root key.
    pub fn key(&self) -> &CachedKey {
        &self.key
    }

    /// The caller as the audit trail names it.
    pub fn principal(&self) -> Principal<'_> {
        Principal { name: self.key.id(), peer: self.origin.as_ref().map_or("", |origin| &origin.peer) }
    }
}
