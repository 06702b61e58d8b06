//! What a client needs.

use std::time::Duration;

use portcullis_client::pb::{CreateApiKeyResponse, VerifyRequest};
use portcullis_client::{BuildError, Client, RootKey};

const SECRET: &str = "root_s3cret";

#[tokio::test]
async fn a_root_key_is_needed() {
    for blank in ["", " \n"] {
        let error = Client::builder().root_key(blank).build().unwrap_err();
        assert!(matches!(error, BuildError::RootKeyMissing));
        assert!(error.to_string().contains("PORTCULLIS_ROOT_KEY"), "{error}");
    }
    let error = Client::builder().root_key("root_s3cret\nx").build().unwrap_err();
    assert!(matches!(error, BuildError::RootKeyUnfit));
    assert!(!format!("{error} {error:?}").contains(SECRET));
}

#[tokio::test]
async fn plaintext_goes_to_no_other_machine() {
    let builder = |address: &str| Client::builder().root_key(SECRET).address(address);
    for local in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
        assert!(builder(local).build().is_ok(), "{local}");
    }
    for other in ["http://10.0.0.1:1", "http://portcullis.example:1", "http://127.0.0.1.example:1"] {
        let error = builder(other).build().unwrap_err();
        assert!(matches!(error, BuildError::Plaintext { .. }), "{other}: {error}");
        // One of several is enough.
        let error = builder("http://127.0.0.1:1").address(other).build().unwrap_err();
        assert!(matches!(error, BuildError::Plaintext { .. }), "{other}: {error}");
        assert!(builder(other).allow_plaintext(true).build().is_ok(), "{other}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let builder = || Client::builder().root_key(SECRET);
    let error = builder().address("127.0.0.1:50051").build().unwrap_err();
    assert_eq!(error.to_string(), "address 1 must start with http:// or https://");
    let error = builder().address("dns:///localhost:50051").build().unwrap_err();
    assert!(error.to_string().starts_with("address 1 must be http://HOST:PORT or https://HOST:PORT, not"), "{error}");
    let error = builder().address("https://localhost:1").ca_certificates("no PEM").build().unwrap_err();
    assert_eq!(error.to_string(), "the CA certificates: no certificate in PEM form");
}

#[tokio::test]
async fn no_error_repeats_an_address() {
    let builder = || Client::builder().root_key("k").address("http://127.0.0.1:1");
    let host = SECRET.replace('_', "-");
    for wrong in [SECRET.to_owned(), format!("http://{SECRET}@a:1"), format!("http://{host}:1"), format!("{SECRET} ")] {
        let builder = builder().address(wrong);
        let mut shown = format!("{builder:?}");
        let error = builder.build().unwrap_err();
        shown += &format!("{error} {error:?}");
        assert!(error.to_string().contains("address 2"), "{error}");
        assert!(!shown.contains(SECRET) && !shown.contains(&host), "{shown}");
    }
}

#[tokio::test]
async fn addresses_are_of_one_scheme() {
    let build = |addresses: [&str; 2]| Client::builder().root_key(SECRET).addresses(addresses).build();
    for mixed in [["http://127.0.0.1:1", "https://localhost:1"], ["https://localhost:1", "http://127.0.0.1:1"]] {
        assert!(matches!(build(mixed), Err(BuildError::MixedSchemes)), "{mixed:?}");
    }
    assert!(build(["https://localhost:1", "https://127.0.0.1:1"]).is_ok());
}

#[tokio::test]
async fn a_timeout_is_more_than_nothing_and_at_most_a_day() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let build = |timeout| Client::builder().root_key(SECRET).timeout(timeout).build();
    for wrong in [Duration::ZERO, DAY + Duration::from_nanos(1), Duration::MAX] {
        assert!(matches!(build(wrong), Err(BuildError::Timeout)), "{wrong:?}");
    }
    for right in [Duration::from_nanos(1), DAY] {
        assert!(build(right).is_ok(), "{right:?}");
    }
}

#[test]
fn a_runtime_is_needed() {
    assert!(matches!(Client::builder().root_key(SECRET).build(), Err(BuildError::NoRuntime)));
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let builder = Client::builder().root_key(SECRET);
    let mut shown = format!("{builder:?} {:?}", RootKey::from(SECRET));
    let client = builder.build().unwrap();
    shown += &format!("{client:?} {:?}", client.verification());
    shown += &format!("{:?}", VerifyRequest { key: SECRET.to_owned(), ..VerifyRequest::default() });
    shown += &format!("{:?}", CreateApiKeyResponse { secret: SECRET.to_owned(), ..CreateApiKeyResponse::default() });
    assert!(!shown.contains(SECRET), "{shown}");
}
