//! Domain errors become wire errors here, and only here. Callers get a reason and what they can act on; the log gets
//! the cause, once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prost::Message as _;
use rand::TryRng;
use rand::rngs::SysRng;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Response};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::json::Misfit;
use super::pb::ErrorReason;
use super::verification::Malformed;
use crate::admission::{Over, Refused};
use crate::clock::{Clock as _, SystemClock};
use crate::hashing::HashingError;
use crate::key::credits::{CREDITS_MAX, NotAdded};
use crate::key::id::KeyId;
use crate::key::keyspace::is_keyspace_id;
use crate::key::permission::Permission;
use crate::log_sampler::LogSampler;
use crate::manage::{self, Violation};
use crate::security_events::CallRefusal;
use crate::store::{Refusal, StoreError};
use crate::transport::BodyError;
use crate::verify::VerifyError;

/// The domain of every ErrorInfo.
pub const DOMAIN: &str = "portcullis.v1";

/// About how long a message that repeats bad fields may get. It travels in a header, as the details do.
const MESSAGE_LEN_MAX: usize = 1_000;

/// When to try again after UNAVAILABLE or an overloaded hashing pool.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The number of errors that were made, by the number of their reason. One to a process, as its log is: errors are made
/// where no server is known.
static GIVEN: [AtomicU64; REASONS_MAX] = [const { AtomicU64::new(0) }; REASONS_MAX];
/// More than there are reasons.
const REASONS_MAX: usize = 128;
/// An outage is not logged for each call that it fails.
static STORE_UNAVAILABLE: LogSampler = LogSampler::new();

/// Counts an error.
pub(super) fn note(reason: ErrorReason) {
    if let Some(count) = GIVEN.get(reason as usize) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The number of errors that were made in this process, by reason.
pub fn reasons_given() -> impl Iterator<Item = (&'static str, u64)> {
    let reasons = GIVEN.iter().enumerate().skip(1).filter_map(|(number, count)| {
        let reason = ErrorReason::try_from(i32::try_from(number).ok()?).ok()?;
        Some((reason.as_str_name().trim_start_matches("ERROR_REASON_"), count))
    });
    reasons.map(|(name, count)| (name, count.load(Ordering::Relaxed)))
}

/// The status of a stream that failed, from its `trailers`.
pub fn of_failure(trailers: &HeaderMap) -> Option<Status> {
    let has_failed = trailers.get("grpc-status").is_some_and(|code| code != "0");
    has_failed.then(|| Status::from_header_map(trailers)).flatten()
}

/// The permission for want of which a call was denied, if `status` says so.
pub fn missing_permission(status: &Status) -> Option<String> {
    let details = (status.code() == Code::PermissionDenied).then(|| status.get_error_details())?;
    details.error_info()?.metadata.get("permission").cloned()
}

/// Why a call was refused for want of room or budget, if `status` says so.
pub fn call_refusal(status: &Status) -> Option<CallRefusal> {
    let may_be = matches!(status.code(), Code::ResourceExhausted | Code::FailedPrecondition);
    let details = may_be.then(|| status.get_error_details())?;
    let reason = details.error_info()?.reason.trim_start_matches("ERROR_REASON_");
    CallRefusal::ALL.into_iter().find(|refusal| refusal.name() == reason)
}

/// The status of a management error.
pub fn from_manage(error: manage::Error) -> Status {
    match error {
        manage::Error::Invalid(violations) => invalid(&violations),
        manage::Error::Refused(refusal) => refused(refusal),
        manage::Error::KeyspaceReserved(id) => {
            let message = format!("keyspace {id} cannot be changed so");
            plain(Code::FailedPrecondition, ErrorReason::KeyspaceReserved, &message)
        }
        manage::Error::Hashing(error) => hashing(&error),
        manage::Error::TooMuchToCompare => {
            let message = "too much to compare in one request: send it again in smaller batches";
            retry(Code::ResourceExhausted, ErrorReason::HashingBusy, message, RETRY_AFTER)
        }
        manage::Error::KeyspaceLimit(keyspace, over) => {
            over_limit(&format!("keyspace {keyspace}"), ErrorReason::KeyspaceLimit, over)
        }
        manage::Error::KeyspaceFull(keyspace, max) => {
            let message = format!("keyspace {keyspace} has no room for as many keys more: it may have {max}");
            plain(Code::FailedPrecondition, ErrorReason::KeyspaceFull, &message)
        }
        manage::Error::Store(error) => store(&error),
        manage::Error::Unconfirmed => {
            let message = "the outcome is unknown: the change may be made or not, and may not hold everywhere yet. It is \
                           safe to repeat, but look at the key before you rotate it again";
            plain(Code::DeadlineExceeded, ErrorReason::ChangeUnconfirmed, message)
        }
        error @ manage::Error::Random(_) => internal(&error),
    }
}

/// The status of a call that was not admitted.
pub fn not_admitted(refused: Refused) -> Status {
    match refused {
        Refused::Busy => retry(Code::ResourceExhausted, ErrorReason::ManagementBusy, MANAGEMENT_BUSY, RETRY_AFTER),
        Refused::Caller(over) => over_limit("the root key", ErrorReason::CallerLimit, over),
    }
}

const MANAGEMENT_BUSY: &str = "too many calls of this kind are under way: nothing was done";

/// The response to a call that is not admitted, before anything is done for it.
pub fn refusal_response(refused: Refused) -> Response<Body> {
    static HEADERS: OnceLock<HeaderMap> = OnceLock::new();
    match refused {
        Refused::Busy => prepared(&HEADERS, ErrorReason::ManagementBusy, MANAGEMENT_BUSY),
        Refused::Caller(_) => not_admitted(refused).into_http(),
    }
}

/// The response to a call that has waited for too long before it was read.
pub fn server_busy() -> Response<Body> {
    static HEADERS: OnceLock<HeaderMap> = OnceLock::new();
    let message = "more calls arrive than can be answered: this one was not looked at";
    prepared(&HEADERS, ErrorReason::ServerBusy, message)
}

/// A RESOURCE_EXHAUSTED whose `headers` are encoded once: under overload there are many, and each must cost little.
fn prepared(headers: &OnceLock<HeaderMap>, reason: ErrorReason, message: &str) -> Response<Body> {
    note(reason);
    let encode = || {
        let mut details = uncounted_info(reason, []);
        details.set_retry_info(Some(RETRY_AFTER));
        let status = Status::with_error_details(Code::ResourceExhausted, message, details);
        status.into_http::<Body>().into_parts().0.headers
    };
    let mut response = Response::new(Body::empty());
    response.headers_mut().clone_from(headers.get_or_init(encode));
    response
}

fn over_limit(whose: &str, reason: ErrorReason, over: Over) -> Status {
    let (message, wait) = match over {
        Over::Calls { max } => (format!("{whose} has {max} calls in flight, the most it may have"), RETRY_AFTER),
        Over::Rate { max, wait } => {
            (format!("{whose} makes more than {max} calls a second, the most it may make"), wait)
        }
    };
    retry(Code::ResourceExhausted, reason, &message, wait)
}

/// The status of a verification that could not be made.
pub fn from_verify(error: VerifyError) -> Status {
    match error {
        VerifyError::Store(error) => store(&error),
        error @ VerifyError::Stalled => store(&StoreError::Unavailable(error.into())),
        VerifyError::Hashing(error) => hashing(&error),
        VerifyError::Throttled(wait) => {
            let message = "too many wrong secrets for this key of late";
            retry(Code::ResourceExhausted, ErrorReason::GuessingThrottled, message, wait)
        }
        VerifyError::LeaseOver => {
            let message = "the database has not been heard from for too long to be sure of any key";
            retry(Code::Unavailable, ErrorReason::LeaseOver, message, RETRY_AFTER)
        }
        VerifyError::Overloaded => {
            let message = "too many keys are being looked up";
            retry(Code::ResourceExhausted, ErrorReason::LookupsBusy, message, RETRY_AFTER)
        }
    }
}

/// INVALID_ARGUMENT: the request is no message of its type.
pub fn from_malformed(_: Malformed) -> Status {
    let message = "the request is not a message of this method's type";
    plain(Code::InvalidArgument, ErrorReason::RequestMalformed, message)
}

/// INVALID_ARGUMENT: what is said around the request is not understood.
pub fn malformed(message: &str) -> Status {
    plain(Code::InvalidArgument, ErrorReason::RequestMalformed, message)
}

/// INVALID_ARGUMENT: the request is no message of its type in JSON. Names the field.
pub fn misfit(Misfit { field, description }: &Misfit) -> Status {
    let mut details = info(ErrorReason::RequestMalformed, []);
    details.add_bad_request_violation(field, description);
    let subject = if field.is_empty() { "the request" } else { field };
    Status::with_error_details(Code::InvalidArgument, format!("invalid request: {subject} {description}"), details)
}

/// UNIMPLEMENTED: a way to call that is not spoken here.
pub fn unspoken(message: &str) -> Status {
    plain(Code::Unimplemented, ErrorReason::RequestMalformed, message)
}

/// UNIMPLEMENTED: no method of this name.
pub fn method_unknown() -> Status {
    plain(Code::Unimplemented, ErrorReason::MethodUnknown, "there is no such method")
}

/// NOT_FOUND: no key has this secret.
pub fn secret_not_found(message: &str) -> Status {
    plain(Code::NotFound, ErrorReason::KeyNotFound, message)
}

/// UNIMPLEMENTED: no method at this path.
pub fn method_unknown_at(path: &str) -> Status {
    let message = format!(
        "there is no method at {path}: it must be /SERVICE/METHOD, e.g. /portcullis.v1.VerificationService/Verify"
    );
    plain(Code::Unimplemented, ErrorReason::MethodUnknown, &message)
}

/// PERMISSION_DENIED: a web page of an origin that may not call.
pub fn origin_unknown(message: &str) -> Status {
    plain(Code::PermissionDenied, ErrorReason::RequestMalformed, message)
}

/// RESOURCE_EXHAUSTED: a request whose head has more fields than one may.
pub fn head_too_large(message: &str) -> Status {
    plain(Code::ResourceExhausted, ErrorReason::RequestTooLarge, message)
}

/// RESOURCE_EXHAUSTED: a request that is larger than one may be.
pub fn request_too_large() -> Status {
    plain(Code::ResourceExhausted, ErrorReason::RequestTooLarge, "the request is larger than 1 MiB")
}

/// INVALID_ARGUMENT: a message with more fields than any that makes sense.
pub fn too_many_fields(max: usize) -> Status {
    let message = format!("the request has more than {max} fields, those of its parts included");
    plain(Code::InvalidArgument, ErrorReason::RequestMalformed, &message)
}

/// RESOURCE_EXHAUSTED: a message that is larger than a service takes that anyone may call.
pub fn message_too_large(size_max: usize) -> Status {
    let message = format!("the request is larger than {size_max} bytes");
    plain(Code::ResourceExhausted, ErrorReason::RequestTooLarge, &message)
}

/// RESOURCE_EXHAUSTED: a stream that goes on for too long.
pub fn too_many_messages(count_max: u32) -> Status {
    let message = format!("the stream has more than {count_max} messages: open another");
    plain(Code::ResourceExhausted, ErrorReason::RequestTooLarge, &message)
}

/// UNAVAILABLE: a stream of health made room for a newer one.
pub fn watch_ended(count_max: usize) -> Status {
    let message = format!(
        "more than {count_max} streams watch the health, and this was the oldest of the network that has most: watch again"
    );
    Status::with_error_details(Code::Unavailable, message, ErrorDetails::with_retry_info(Some(RETRY_AFTER)))
}

/// INTERNAL: an answer of this server's own is not what its method says.
pub fn answer_unreadable() -> Status {
    #[derive(Debug, thiserror::Error)]
    #[error("an answer cannot be read")]
    struct Unreadable;
    internal(&Unreadable)
}

/// The status of a call whose request could not be read. Nothing was done.
pub fn from_body(error: &BodyError) -> Status {
    match error {
        BodyError::Late(after) => request_late(*after),
        BodyError::Displaced => {
            let message = "too many requests are arriving that are not whole yet: send it again, as a whole";
            retry(Code::ResourceExhausted, ErrorReason::ManagementBusy, message, RETRY_AFTER)
        }
        BodyError::Http1(_) | BodyError::Http2(_) => malformed("the request broke off"),
    }
}

/// DEADLINE_EXCEEDED: the request did not come. Nothing was done.
pub fn request_late(after: Duration) -> Status {
    plain(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, &format!("the request did not come within {after:?}"))
}

/// DEADLINE_EXCEEDED: there was no answer within the time that the client allows.
pub fn deadline_exceeded(after: Duration) -> Status {
    let message = format!("not done within {after:?}; a change may still be made");
    plain(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, &message)
}

/// UNAVAILABLE: the server is ending, and a stream with it.
pub fn ending() -> Status {
    let message = "the server is ending: connect anew, and ask again what was not answered";
    retry(Code::Unavailable, ErrorReason::ServerEnding, message, RETRY_AFTER)
}

/// INTERNAL: a call's task died.
pub fn panicked(error: &tokio::task::JoinError) -> Status {
    internal(error)
}

/// A status as a message within an answer.
pub fn as_message(status: &Status) -> tonic_types::Status {
    let bare =
        || tonic_types::Status { code: status.code().into(), message: status.message().to_owned(), details: vec![] };
    // Its details are such a message, whole.
    let whole = tonic_types::Status::decode(status.details()).ok();
    whole.filter(|whole| whole.code == i32::from(status.code())).unwrap_or_else(bare)
}

/// INVALID_ARGUMENT, naming every bad field.
pub fn invalid(violations: &[Violation]) -> Status {
    let mut details = info(ErrorReason::FieldInvalid, []);
    let mut message = String::from("invalid request");
    for (at, violation) in violations.iter().enumerate() {
        details.add_bad_request_violation(&violation.field, &violation.description);
        let separator = if at == 0 { ": " } else { "; " };
        if message.len() < MESSAGE_LEN_MAX {
            let _ = write!(message, "{separator}{} {}", violation.field, violation.description);
        }
    }
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// UNAUTHENTICATED: no credential.
pub fn credential_missing() -> Status {
    let message = "no credential: send `authorization: Bearer <root key>`";
    plain(Code::Unauthenticated, ErrorReason::CredentialMissing, message)
}

/// UNAUTHENTICATED: a credential that is no valid root key. Which of the ways it is bad in is not said.
pub fn credential_invalid() -> Status {
    plain(Code::Unauthenticated, ErrorReason::CredentialInvalid, "the credential is not a valid root key")
}

/// PERMISSION_DENIED: in `keyspace`, if one was named that can be.
pub fn permission_missing(permission: Permission, keyspace: &str) -> Status {
    let place = if is_keyspace_id(keyspace) { format!("for keyspace {keyspace}") } else { "here".to_owned() };
    let message = format!("the root key lacks {permission} {place}");
    let details = info(ErrorReason::PermissionMissing, [("permission", permission.to_string())]);
    Status::with_error_details(Code::PermissionDenied, message, details)
}

/// A status that tonic made on its own, with the ErrorInfo it lacks; `None` if it is not one of those.
pub fn completed(bare: &Status) -> Option<Status> {
    let (code, reason, message) = match bare.code() {
        // With a message it is about something else: how the request is compressed.
        Code::Unimplemented if !bare.message().is_empty() => {
            (Code::Unimplemented, ErrorReason::RequestMalformed, bare.message())
        }
        Code::Unimplemented => return Some(method_unknown()),
        // Its message says the limit and the size.
        Code::OutOfRange => return Some(request_too_large()),
        Code::Internal | Code::InvalidArgument => {
            (Code::InvalidArgument, ErrorReason::RequestMalformed, "the request is not a message of this method's type")
        }
        _ => return None,
    };
    Some(plain(code, reason, message))
}

fn refused(refusal: Refusal) -> Status {
    use ErrorReason as R;
    let (code, reason, message) = match refusal {
        Refusal::KeyNotFound => (Code::NotFound, R::KeyNotFound, "no such key"),
        Refusal::KeyspaceNotFound => (Code::NotFound, R::KeyspaceNotFound, "no such keyspace"),
        Refusal::KeyspaceExists => (Code::AlreadyExists, R::KeyspaceExists, "there is a keyspace of this id"),
        Refusal::KeyspaceNotEmpty => (Code::FailedPrecondition, R::KeyspaceNotEmpty, "the keyspace has keys"),
        Refusal::GrantsNowhere(_) => (Code::InvalidArgument, R::FieldInvalid, "scopes must name keyspaces that exist"),
        Refusal::DefaultTtlTooLong { .. } => {
            (Code::InvalidArgument, R::FieldInvalid, "keyspace.default_ttl must be at most max_ttl")
        }
        Refusal::EtagMismatch => (Code::Aborted, R::EtagMismatch, "the etag is stale: read again, then decide again"),
        Refusal::KeyRevoked => (Code::FailedPrecondition, R::KeyRevoked, "the key is revoked"),
        Refusal::OverlapActive { hint, until } => {
            let message = format!(
                "the secret {hint} goes on working until {until}, as an earlier rotation promised, and would end now: say \
                 end_overlap to end it, or rotate after that time"
            );
            return plain(Code::FailedPrecondition, R::OverlapActive, &message);
        }
        Refusal::LastAdminKey => {
            let message = "it is the last admin key, or outlives all others: make another first (`portcullis root-key create \
                           --permission admin`), or say allow_last_admin (`--force`). Without one, `portcullis root-key create \
                           --offline` is the way back";
            (Code::FailedPrecondition, R::LastAdminKey, message)
        }
        Refusal::CreditsNotAdded(NotAdded::Unlimited) => {
            let message =
                "the key has no credits to add to: it may be used as much as it likes; set credits.remaining first";
            (Code::FailedPrecondition, R::CreditsNotAdded, message)
        }
        Refusal::CreditsNotAdded(NotAdded::TooMany { remaining }) => {
            let message = format!("the key has {remaining} credits, and may have {CREDITS_MAX}: add fewer");
            return plain(Code::FailedPrecondition, R::CreditsNotAdded, &message);
        }
        Refusal::KeyExpired => (Code::FailedPrecondition, R::KeyExpired, "the key has expired"),
        Refusal::RequestIdUsed(key) => {
            let message = format!("this request_id made {key} already: rotate it if its secret is lost");
            return made_already(R::RequestIdUsed, &key, message);
        }
        Refusal::SecretExists(key) => {
            let message = format!("{key} has this secret already");
            return made_already(R::SecretExists, &key, message);
        }
        Refusal::LookupFull => (
            Code::FailedPrecondition,
            R::LookupFull,
            "as many keys as can be (4; 1 for a key string of Portcullis's form) are found by this lookup_prefix: give a \
             longer one",
        ),
        Refusal::FormsFull => (
            Code::FailedPrecondition,
            R::LookupLengthsFull,
            "the keyspace has lookup prefixes of 8 lengths, the most it can have: give a lookup_prefix of one of those",
        ),
        Refusal::LookupChanged => {
            (Code::Aborted, R::LookupContended, "others import secrets of this lookup_prefix just now: try again")
        }
    };
    plain(code, reason, message)
}

/// ALREADY_EXISTS, naming the key.
fn made_already(reason: ErrorReason, key: &KeyId, message: String) -> Status {
    let mut details = info(reason, [("key_id", key.to_string())]);
    details.set_resource_info("portcullis.v1.ApiKey", key.as_str(), "", &message);
    Status::with_error_details(Code::AlreadyExists, message, details)
}

fn hashing(error: &HashingError) -> Status {
    match error {
        HashingError::Busy => {
            let message = "too many secrets are being hashed";
            retry(Code::ResourceExhausted, ErrorReason::HashingBusy, message, RETRY_AFTER)
        }
        HashingError::Failed(_) => internal(error),
    }
}

fn store(error: &StoreError) -> Status {
    match error {
        StoreError::Unavailable(cause) => {
            if let Some(suppressed) = STORE_UNAVAILABLE.take(SystemClock.elapsed()) {
                tracing::warn!(error = chain(cause.as_ref()), suppressed, "the store is unavailable");
            }
            retry(Code::Unavailable, ErrorReason::StoreUnavailable, "the store is unavailable", RETRY_AFTER)
        }
        StoreError::TimedOut(cause) => {
            tracing::warn!(error = chain(cause.as_ref()), "a list took too long");
            let message = "the list takes too long: narrow it, e.g. to a subject, a label or a shorter time; ask for no \
                           exact_total; go on by page_token instead of skip";
            plain(Code::ResourceExhausted, ErrorReason::ListTooSlow, message)
        }
        StoreError::ListsBusy => {
            let message = "too many lists are being made";
            retry(Code::ResourceExhausted, ErrorReason::ListsBusy, message, RETRY_AFTER)
        }
        StoreError::Fault(_) => internal(error),
    }
}

/// An error that will pass.
fn retry(code: Code, reason: ErrorReason, message: &str, after: Duration) -> Status {
    let mut details = info(reason, []);
    details.set_retry_info(Some(after));
    Status::with_error_details(code, message, details)
}

/// INTERNAL: the caller gets an id, the log the id and the cause.
fn internal(error: &(dyn std::error::Error + 'static)) -> Status {
    let error_id = error_id();
    tracing::error!(error_id, error = chain(error), "internal error");
    let details = info(ErrorReason::Internal, [("error_id", error_id.clone())]);
    Status::with_error_details(Code::Internal, format!("internal error {error_id}"), details)
}

/// What finds an error in the log: 64 random bits, which is enough for as long as a log is kept.
fn error_id() -> String {
    let mut bytes = [0; 8];
    // Without random bytes there is still the time in the log.
    let _ = SysRng.try_fill_bytes(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// An error and all that is behind it, in a line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

fn plain(code: Code, reason: ErrorReason, message: &str) -> Status {
    Status::with_error_details(code, message, info(reason, []))
}

fn info<const N: usize>(reason: ErrorReason, metadata: [(&str, String); N]) -> ErrorDetails {
    note(reason);
    uncounted_info(reason, metadata)
}

fn uncounted_info<const N: usize>(reason: ErrorReason, metadata: [(&str, String); N]) -> ErrorDetails {
    let metadata: Vec<(String, String)> = metadata.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    ErrorDetails::with_error_info(reason.as_str_name(), DOMAIN, metadata.into_iter().collect::<HashMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_refused_for_want_of_room_or_budget_is_told_by_its_reason() {
        for refusal in CallRefusal::ALL {
            let reason = ErrorReason::from_str_name(&format!("ERROR_REASON_{}", refusal.name())).expect("a reason");
            assert_eq!(call_refusal(&plain(Code::ResourceExhausted, reason, "no")), Some(refusal));
        }
        let over = Over::Calls { max: 1 };
        for (status, refusal) in [
            (not_admitted(Refused::Busy), CallRefusal::ManagementBusy),
            (not_admitted(Refused::Caller(over)), CallRefusal::CallerLimit),
            (from_body(&BodyError::Displaced), CallRefusal::ManagementBusy),
            (from_manage(manage::Error::KeyspaceLimit("acme".into(), over)), CallRefusal::KeyspaceLimit),
            (from_manage(manage::Error::KeyspaceFull("acme".into(), 1)), CallRefusal::KeyspaceFull),
            (from_verify(VerifyError::Overloaded), CallRefusal::LookupsBusy),
            (from_verify(VerifyError::Hashing(Arc::new(HashingError::Busy))), CallRefusal::HashingBusy),
            (from_verify(VerifyError::Throttled(RETRY_AFTER)), CallRefusal::GuessingThrottled),
            (store(&StoreError::ListsBusy), CallRefusal::ListsBusy),
        ] {
            assert_eq!(call_refusal(&status), Some(refusal), "{status}");
        }
        assert_eq!(call_refusal(&request_too_large()), None);
        assert_eq!(call_refusal(&permission_missing(Permission::KeysRead, "default")), None);
    }
}
