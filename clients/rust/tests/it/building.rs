//! What a client needs.

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
    assert_eq!(error.to_string(), "the address 127.0.0.1:50051: must start with http:// or https://");
    let error = builder().address("https://localhost:1").ca_certificates("no PEM").build().unwrap_err();
    assert_eq!(error.to_string(), "the CA certificates: no certificate in PEM form");
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
