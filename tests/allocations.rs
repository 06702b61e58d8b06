//! What takes memory, and how much: a key that is known is verified without any, a page takes twice its bytes, a batch
//! little for each of its keys. A program of its own: it counts what its allocator is asked for.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use http_body_util::{BodyExt as _, Full};
use portcullis::admission::{Admission, Settings};
use portcullis::clock::{Clock, ManualClock, SystemClock};
use portcullis::fleet::Fleet;
use portcullis::grpc::api_keys::ApiKeys;
use portcullis::grpc::audit::Audit;
use portcullis::grpc::caller::Callers;
use portcullis::grpc::pb::api_key_service_server::ApiKeyServiceServer;
use portcullis::grpc::pb::audit_service_server::AuditServiceServer;
use portcullis::grpc::verification::Verification;
use portcullis::grpc::{convert, pb};
use portcullis::hashing::Hashing;
use portcullis::key::keyspace::SYSTEM;
use portcullis::key::permission::Reach;
use portcullis::key::scope::Demand;
use portcullis::key::secret::Secret;
use portcullis::key::token;
use portcullis::manage::{Bootstrap, ListKeys, Management, PAGE_MEMORY_MAX, Principal};
use portcullis::security_events::SecurityEvents;
use portcullis::store::{Hints, Schema, Store, connect};
use portcullis::usage::Usage;
use portcullis::verify::verdict::Verdict;
use portcullis::verify::{Ledger, Memory, Question, Verifier};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::http::Request;

fn asked<'a>(key: &'a str, demand: Demand<'a>) -> Question<'a> {
    Question { keyspace: SYSTEM, demand, ..Question::about(key) }
}

/// Checks that `work` takes no memory.
#[track_caller]
fn takes_nothing(what: &str, work: impl FnOnce()) {
    let AllocationInfo { count_total, bytes_total, .. } = measure(work);
    assert_eq!((count_total, bytes_total), (0, 0), "{what}");
}

/// A new store with what works on it.
struct Rig {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    hashing: Arc<Hashing>,
    memory: Arc<Memory>,
    usage: Arc<Usage>,
    fleet: Fleet,
    admission: Arc<Admission>,
    management: Management,
    /// Gone with this.
    _dir: tempfile::TempDir,
}

async fn rig() -> Rig {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite://{}", dir.path().join("portcullis.db").display());
    let store = connect(&url, Schema::Migrate, &Hints::None).await.expect("a store");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(SystemClock.now()));
    let hashing = Arc::new(Hashing::default());
    let memory = Arc::new(Memory::new(1 << 20));
    let lease = Duration::from_secs(1);
    let usage = Arc::new(Usage::default());
    let fleet = Fleet::join(store.clone(), memory.clone(), clock.clone(), lease, "one".into()).await.expect("a place");
    let admission = Arc::new(Admission::new(Settings::default(), &clock));
    let barrier = fleet.barrier().clone();
    let management =
        Management::new(store.clone(), hashing.clone(), clock.clone(), barrier, usage.clone(), admission.clone());
    let management = management.await.expect("a new store");
    Rig { store, clock, hashing, memory, usage, fleet, admission, management, _dir: dir }
}

impl Rig {
    fn verifier(&self) -> Verifier {
        let ledger = Ledger::new(self.store.clone(), self.clock.clone(), self.usage.clone(), self.fleet.is_shared());
        Verifier::new(
            self.store.clone(),
            self.memory.clone(),
            self.fleet.lease().clone(),
            self.hashing.clone(),
            self.clock.clone(),
            Arc::new(ledger),
            |_| Box::default(),
        )
    }

    /// The first root key.
    async fn bootstrap(&self) -> Secret {
        let Bootstrap::Made(secret) = self.management.bootstrap(None).await.expect("a root key") else {
            panic!("a new store")
        };
        secret
    }
}

/// Keys with 3 KB of labels each: more than fit on a page.
const LARGE_KEYS: usize = 1_000;

#[test]
fn a_page_takes_no_more_than_twice_its_bytes() {
    // What is counted is what this thread asks for: all is done on it, but for what SQLite itself does.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rig = runtime.block_on(rig());
    let metadata = (0..6).map(|label| (format!("label-{label}"), "x".repeat(500))).collect();
    let key =
        pb::CreateApiKeyRequest { name: "large".into(), subject: "user_1".into(), metadata, ..Default::default() };
    runtime.block_on(async {
        for _ in 0..LARGE_KEYS {
            let new = convert::create_key(key.clone());
            rig.management.create(new, Principal { name: "test", peer: "" }).await.expect("a key");
        }
    });
    let list = || {
        let list = ListKeys {
            keyspace: String::new(),
            subject: String::new(),
            query: String::new(),
            include_invalid: false,
            metadata: BTreeMap::new(),
            created_by: String::new(),
            unused_since: None,
            page_size: 1_000,
            page_token: String::new(),
            skip: 0,
            exact_total: false,
        };
        runtime.block_on(rig.management.list(list)).expect("a page")
    };
    // A reader is opened once, and its statements are prepared once.
    drop(list());
    let mut page = None;
    let listing = measure(|| page = Some(list()));
    let page = page.expect("it was just listed");
    assert!(page.items.len() > LARGE_KEYS / 8 && !page.next_page_token.is_empty(), "{} keys", page.items.len());
    let now = rig.clock.now();
    let encoded_len: usize = page.items.into_iter().map(|key| convert::api_key(key, now).encoded_len()).sum();
    let AllocationInfo { bytes_max, .. } = listing;
    assert!(bytes_max > encoded_len as u64, "it counts");
    assert!(bytes_max <= 2 * encoded_len as u64, "{bytes_max} bytes for a page of {encoded_len}");
    runtime.block_on(rig.store.close());
}

/// What one list takes while its largest page is made and encoded, apart from what SQLite has for it by itself: 2 MiB of
/// page cache, and rows ahead.
const LIST_BYTES_MAX: u64 = 2 * 1024 * 1024;
const _: () = assert!(LIST_BYTES_MAX < PAGE_MEMORY_MAX as u64 / 2);

#[test]
fn a_list_of_the_largest_keys_takes_no_more_than_is_planned() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rig = runtime.block_on(rig());
    let secret = runtime.block_on(rig.bootstrap());
    let metadata: BTreeMap<_, _> = (0..50).map(|label| (format!("label-{label}"), "🔑".repeat(512))).collect();
    let key = pb::CreateApiKeyRequest { name: "k".into(), subject: "user_1".into(), metadata, ..Default::default() };
    runtime.block_on(async {
        for _ in 0..20 {
            let new = convert::create_key(key.clone());
            rig.management.create(new, Principal { name: "test", peer: "" }).await.expect("a key");
        }
    });
    let (verifier, management) = (Arc::new(runtime.block_on(async { rig.verifier() })), Arc::new(rig.management));
    let (events, _denials) = SecurityEvents::new(rig.clock.clone());
    let callers = Callers::new(verifier.clone(), rig.admission.clone(), Arc::new(events));
    let keys = ApiKeys { management: management.clone(), verifier, clock: rig.clock.clone() };
    let mut keys = callers.guard(ApiKeyServiceServer::new(keys));
    let mut audit = callers.guard(AuditServiceServer::new(Audit { management }));
    let list = pb::ListApiKeysRequest { page_size: 1_000, ..Default::default() };
    let list_events = pb::ListAuditEventsRequest { page_size: 1_000, ..Default::default() };
    let list = || framed("/portcullis.v1.ApiKeyService/ListApiKeys", &secret, &list);
    let list_events = || framed("/portcullis.v1.AuditService/ListAuditEvents", &secret, &list_events);
    // A reader is opened once, and its statements are prepared once.
    runtime.block_on(answered(&mut keys, list()));
    runtime.block_on(answered(&mut audit, list_events()));
    for what in ["keys", "events"] {
        let (mut len, request) = (0, if what == "keys" { list() } else { list_events() });
        let AllocationInfo { bytes_max, .. } = measure(|| {
            len = runtime.block_on(async {
                if what == "keys" { answered(&mut keys, request).await } else { answered(&mut audit, request).await }
            });
        });
        assert!(len > 600_000, "{what}: a full page: {len} bytes");
        assert!(bytes_max <= LIST_BYTES_MAX, "{what}: {bytes_max} bytes for a page of {len}");
    }
    runtime.block_on(rig.store.close());
}

/// A call over gRPC with this root key.
fn framed(path: &str, root_key: &Secret, message: &impl prost::Message) -> Request<Body> {
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).expect("less than 1 MiB").to_be_bytes());
    frame.extend(message);
    let request = Request::post(path).header("authorization", format!("Bearer {}", root_key.expose()));
    request.header("content-type", "application/grpc").body(Body::new(Full::from(frame))).expect("a request")
}

/// The length of the answer of `service`.
async fn answered<S>(service: &mut S, request: Request<Body>) -> usize
where
    S: tower::Service<Request<Body>, Response = tonic::codegen::http::Response<Body>, Error = Infallible>,
{
    let response = service.call(request).await.unwrap_or_else(|never| match never {});
    let mut len = 0;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        len += frame.expect("no error").data_ref().map_or(0, tonic::codegen::Bytes::len);
    }
    len
}

#[tokio::test]
async fn what_is_known_is_verified_without_memory() {
    let rig = rig().await;
    let secret = rig.bootstrap().await;
    let key = secret.expose();
    let verifier = rig.verifier();

    // It is read, and its use is noted, once.
    let reach = Reach::Everywhere;
    let first = verifier.verify(&asked(key, Demand::default()), &reach).await;
    assert!(matches!(first, Ok(Verdict::Valid(..))), "{first:?}");
    assert!(measure(|| drop(Vec::<u8>::with_capacity(1))).count_total > 0, "it counts");

    let admin = ["admin"];
    let demand = Demand { all_of: &admin, any_of: &admin };
    takes_nothing("a right key", || {
        let verdict = verifier.verify_known(&asked(key, demand), &reach);
        assert!(matches!(verdict, Some(Verdict::Valid(..))));
    });
    takes_nothing("a caller", || {
        let verdict = verifier.verify_known_root(key);
        assert!(matches!(verdict, Some(Verdict::Valid(..))));
    });
    let wrong = wrong_secret(key);
    takes_nothing("a wrong secret", || {
        let verdict = verifier.verify_known(&asked(&wrong, demand), &reach);
        assert!(matches!(verdict, Some(Verdict::NotFound)));
    });
    let long = "x".repeat(100_000);
    for malformed in ["", "no key", &key[1..], &long] {
        takes_nothing("what is malformed", || {
            let verdict =
                verifier.verify_known(&Question { keyspace: "", ..asked(malformed, demand) }, &Reach::AllButSystem);
            assert!(matches!(verdict, Some(Verdict::Malformed)));
        });
    }
    takes_nothing("a key out of reach", || {
        let verdict = verifier.verify_known(&Question { keyspace: "", ..asked(key, demand) }, &Reach::AllButSystem);
        assert!(matches!(verdict, Some(Verdict::NotFound)));
    });
    rig.store.close().await;
}

/// Keys of a batch, and how many bytes each may take.
const BATCH_KEYS: usize = 1_000;
const BATCH_KEY_BYTES_MAX: u64 = 1_000;

#[test]
fn a_batch_of_unknown_keys_takes_little_for_each() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rig = runtime.block_on(rig());
    let secret = runtime.block_on(rig.bootstrap());
    let verifier = Arc::new(runtime.block_on(async { rig.verifier() }));
    let (events, _denials) = SecurityEvents::new(rig.clock.clone());
    let callers = Callers::new(verifier.clone(), rig.admission.clone(), Arc::new(events));
    let service = callers.guard(Verification::new(verifier, 1 << 20, CancellationToken::new()));
    let batch = || {
        let unknown = |_| {
            let (_, key) = token::generate(&"ak".parse().expect("a prefix")).expect("a key");
            pb::VerifyRequest { key: key.expose().to_owned(), ..Default::default() }
        };
        let message = pb::BatchVerifyRequest { requests: (0..BATCH_KEYS).map(unknown).collect() };
        framed("/portcullis.v1.VerificationService/BatchVerify", &secret, &message)
    };
    let answer = |request| {
        let len = runtime.block_on(answered(&mut service.clone(), request));
        assert!(len > BATCH_KEYS, "each is answered");
    };
    answer(batch());
    let request = batch();
    let AllocationInfo { bytes_max, .. } = measure(|| answer(request));
    assert!(bytes_max <= BATCH_KEYS as u64 * BATCH_KEY_BYTES_MAX, "{bytes_max} bytes for {BATCH_KEYS} keys");
    runtime.block_on(rig.store.close());
}

/// Another well-formed key string of the same lookup.
fn wrong_secret(right: &str) -> String {
    let signed = format!("{}{}", &right[..right.len() - 38], "0".repeat(32));
    let mut rest = crc32fast::hash(signed.as_bytes());
    let mut check = [b'0'; 6];
    for place in check.iter_mut().rev() {
        *place = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(rest % 62) as usize];
        rest /= 62;
    }
    signed + std::str::from_utf8(&check).expect("ASCII")
}
