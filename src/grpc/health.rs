//! grpc.health.v1, which Kubernetes, load balancers and clients ask. Anyone may call it, so a call holds next to nothing:
//! a request is at most 1 KiB, and answers are static.
//!
//! `liveness` says that the process runs, whatever its store does: restarting it would mend nothing. `readiness`, the
//! empty name and each service say whether calls can be answered.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message as _;
use tokio::sync::{oneshot, watch};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response, header};
use tonic_health::pb::HealthCheckRequest;
use tower::Service;

use super::small_messages::SmallMessages;
use super::verification::Malformed;
use super::{json, status};
use crate::client_network::ClientNetwork;
use crate::transport::Peer;

/// The name of the check that only a hung or dead process fails.
pub const LIVENESS: &str = "liveness";
/// The name of the check that fails while calls cannot be answered.
pub const READINESS: &str = "readiness";
/// Most streams of Watch at once. One more ends the oldest of the network that has most of them: a stranger cannot keep others
/// from watching.
pub const WATCHES_MAX: usize = 1_024;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// A framed HealthCheckResponse: SERVING.
const SERVING: Bytes = Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]);
/// A framed HealthCheckResponse: NOT_SERVING.
const NOT_SERVING: Bytes = Bytes::from_static(&[0, 0, 0, 0, 2, 8, 2]);

/// Whether calls can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotServing,
    Serving,
    /// The end was announced, and nothing takes that back.
    Ending,
    /// Streams of Watch end.
    Ended,
}

/// The health of the server: the state, and the service that tells it.
#[derive(Clone)]
pub struct Health {
    state: Arc<watch::Sender<State>>,
    watches: Arc<Watches>,
}

impl Default for Health {
    fn default() -> Self {
        Self { state: Arc::new(watch::Sender::new(State::NotServing)), watches: Arc::default() }
    }
}

impl Health {
    /// Sets whether calls can be answered, unless the end was announced.
    pub fn set_ready(&self, ready: bool) {
        let next = if ready { State::Serving } else { State::NotServing };
        self.state.send_if_modified(|state| {
            let changes = matches!(state, State::Serving | State::NotServing) && *state != next;
            if changes {
                *state = next;
            }
            changes
        });
    }

    /// Says that calls will not be answered for much longer.
    pub fn announce_end(&self) {
        self.state.send_replace(State::Ending);
    }

    /// Ends the streams of Watch.
    pub fn end_watches(&self) {
        self.state.send_replace(State::Ended);
    }

    /// The number of streams of Watch.
    pub fn watches(&self) -> usize {
        self.watches.lock().open.len()
    }

    async fn serve(self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        let (is_check, is_watch) = (path == CHECK, path == WATCH);
        if !is_check && !is_watch {
            return status::method_unknown().into_http();
        }
        let peer = request.extensions().get::<Peer>().map(|Peer(addr)| addr.ip());
        let name = match read_name(request.into_body()).await {
            Ok(name) => name,
            Err(status) => return status.into_http(),
        };
        match Subject::named(&name) {
            None => {
                let message = "unknown service: ask for `readiness`, `liveness`, or the full name of a service, such as \
                               portcullis.v1.VerificationService";
                Status::not_found(message).into_http()
            }
            Some(subject) if is_check => check(subject, *self.state.borrow()),
            Some(subject) => respond(self.watcher(subject, ClientNetwork::of(peer)).frames()),
        }
    }

    fn watcher(&self, subject: Subject, network: ClientNetwork) -> Watcher {
        Watcher {
            subject,
            state: self.state.subscribe(),
            place: self.watches.join(network),
            told: None,
            is_over: false,
        }
    }
}

/// Whose health is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Liveness,
    Readiness,
}

impl Subject {
    fn named(name: &str) -> Option<Self> {
        match name {
            LIVENESS => Some(Self::Liveness),
            "" | READINESS => Some(Self::Readiness),
            name => json::is_service(name).then_some(Self::Readiness),
        }
    }

    fn answer(self, state: State) -> Bytes {
        if self == Self::Liveness || state == State::Serving { SERVING } else { NOT_SERVING }
    }
}

async fn read_name(body: Body) -> Result<String, Status> {
    let message = SmallMessages::new(body).only().await?;
    let request = HealthCheckRequest::decode(&message[..]).map_err(|_| status::from_malformed(Malformed))?;
    Ok(request.service)
}

fn check(subject: Subject, state: State) -> Response<Body> {
    let frames = [Frame::data(subject.answer(state)), trailers(&Status::ok(""))];
    respond(stream::iter(frames.map(Ok)))
}

fn respond(frames: impl Stream<Item = Result<Frame<Bytes>, Status>> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn trailers(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    // Fails on text that no header can carry; none of these is such.
    let _ = status.add_header(&mut trailers);
    Frame::trailers(trailers)
}

/// A stream of Watch.
struct Watcher {
    subject: Subject,
    state: watch::Receiver<State>,
    place: Place,
    told: Option<Bytes>,
    is_over: bool,
}

impl Watcher {
    /// The state now, and each change of it.
    fn frames(self) -> impl Stream<Item = Result<Frame<Bytes>, Status>> + Send + 'static {
        stream::unfold(self, |mut watcher| async move {
            let frame = watcher.next().await?;
            Some((Ok(frame), watcher))
        })
    }

    async fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.is_over {
            return None;
        }
        let status = loop {
            let state = *self.state.borrow_and_update();
            let answer = self.subject.answer(state);
            if self.told.as_ref() != Some(&answer) {
                self.told = Some(answer.clone());
                return Some(Frame::data(answer));
            }
            // Not before: the end may come so soon that this state is the first to be seen after SERVING.
            if state == State::Ended {
                break Status::ok("");
            }
            tokio::select! {
                changed = self.state.changed() => if changed.is_err() {
                    break Status::ok("");
                },
                _ = &mut self.place.ended => break status::watch_ended(WATCHES_MAX),
            }
        };
        self.is_over = true;
        Some(trailers(&status))
    }
}

/// The streams of Watch, the oldest first.
#[derive(Default)]
struct Watches(Mutex<OpenWatches>);

#[derive(Default)]
struct OpenWatches {
    next: u64,
    /// The network of each, and what ends it when it is dropped.
    open: BTreeMap<u64, (ClientNetwork, oneshot::Sender<Infallible>)>,
    /// How many each network has.
    counts: HashMap<ClientNetwork, usize>,
}

impl OpenWatches {
    fn end(&mut self, id: u64) {
        let Some((network, _)) = self.open.remove(&id) else { return };
        if let Entry::Occupied(mut count) = self.counts.entry(network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// The oldest of the network that has most.
    fn oldest_of_most(&self) -> Option<u64> {
        let (most, _) = self.counts.iter().max_by_key(|(_, count)| **count)?;
        self.open.iter().find(|(_, (network, _))| network == most).map(|(id, _)| *id)
    }
}

/// The place of one stream.
struct Place {
    id: u64,
    ended: oneshot::Receiver<Infallible>,
    watches: Arc<Watches>,
}

impl Watches {
    fn join(self: &Arc<Self>, network: ClientNetwork) -> Place {
        let (end, ended) = oneshot::channel();
        let mut watches = self.lock();
        if watches.open.len() >= WATCHES_MAX
            && let Some(oldest) = watches.oldest_of_most()
        {
            watches.end(oldest);
        }
        let id = watches.next;
        watches.next += 1;
        watches.open.insert(id, (network, end));
        *watches.counts.entry(network).or_default() += 1;
        Place { id, ended, watches: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, OpenWatches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.watches.lock().end(self.id);
    }
}

/// Whether a request is for this service, which is served where its connection is: it waits for nothing.
pub fn is_health<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with("/grpc.health.v1.Health/")
}

impl Service<Request<Body>> for Health {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let health = self.clone();
        Box::pin(async move { Ok(health.serve(request).await) })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::StreamExt as _;

    use super::*;

    fn watcher(health: &Health, peer: [u8; 4]) -> Watcher {
        health.watcher(Subject::Readiness, ClientNetwork::of(Some(peer.into())))
    }

    #[tokio::test]
    async fn one_watch_too_many_ends_the_oldest_of_the_network_with_most() {
        let health = Health::default();
        let mut others = pin!(watcher(&health, [192, 0, 2, 1]).frames());
        assert!(others.next().await.unwrap().unwrap().is_data());
        let mut oldest = pin!(watcher(&health, [192, 0, 2, 2]).frames());
        assert!(oldest.next().await.unwrap().unwrap().is_data());
        let flood: Vec<_> = (2..WATCHES_MAX).map(|_| watcher(&health, [192, 0, 2, 2])).collect();
        assert_eq!(health.watches(), WATCHES_MAX);
        let _newest = watcher(&health, [192, 0, 2, 3]);
        assert_eq!(health.watches(), WATCHES_MAX);
        let end = oldest.next().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(Status::from_header_map(&end).unwrap().code(), tonic::Code::Unavailable);
        assert!(oldest.next().await.is_none());
        drop(flood);
        assert_eq!(health.watches(), 2);
        health.set_ready(true);
        assert_eq!(others.next().await.unwrap().unwrap().into_data().unwrap(), SERVING);
    }

    #[tokio::test]
    async fn nothing_takes_the_end_back() {
        let health = Health::default();
        health.set_ready(true);
        let mut frames = pin!(watcher(&health, [192, 0, 2, 1]).frames());
        let mut next = async || frames.next().await.unwrap().unwrap();
        assert_eq!(next().await.into_data().unwrap(), SERVING);
        health.announce_end();
        health.set_ready(true);
        health.end_watches();
        assert_eq!(next().await.into_data().unwrap(), NOT_SERVING);
        assert!(next().await.is_trailers());
    }
}
