//! To which server, as whom; and when there is no answer.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::program::{Ran, Serving, portcullis};

/// Runs the program as a client without a root key.
fn anonymous(args: &[&str]) -> Ran {
    portcullis().args(args).output().expect("it runs").into()
}

/// Runs it with one.
fn with_root_key(args: &[&str]) -> Ran {
    portcullis().args(args).env("PORTCULLIS_ROOT_KEY", "root_secret").output().expect("it runs").into()
}

#[test]
fn no_root_key() {
    let error = anonymous(&["keys", "list"]).failed(64);
    assert!(error.contains("PORTCULLIS_ROOT_KEY"), "{error}");
    let empty = portcullis().args(["keys", "list"]).env("PORTCULLIS_ROOT_KEY", " \n").output();
    assert!(Ran::from(empty.unwrap()).failed(64).contains("PORTCULLIS_ROOT_KEY"));
    anonymous(&["keys", "list", "--root-key-file", "/nonexistent"]).failed(64);
    anonymous(&["keys", "list", "--root-key-file", "/dev/null"]).failed(64);
}

#[test]
fn the_root_key_may_be_in_a_file() {
    let server = Serving::start();
    let file = server.dir.path().join("root-key");
    let args = ["keys", "list", "--server", &server.url, "--root-key-file", file.to_str().unwrap()];
    let of_mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    for text in [format!("{}\n", server.root_key), format!("export PORTCULLIS_ROOT_KEY=\"{}\"\r\n", server.root_key)] {
        std::fs::write(&file, text).unwrap();
        of_mode(0o640);
        assert_eq!(anonymous(&args).ok(), "no keys\n");
    }
    of_mode(0o644);
    let open = anonymous(&args);
    let warning = format!("warning: --root-key-file {}: every user of this machine can read it", file.display());
    assert!(open.code == 0 && open.stderr.starts_with(&warning) && open.stderr.contains("chmod 600"), "{open}");
    of_mode(0o600);
    // With a byte order mark, as some editors write one, or without.
    for bom in ["", "\u{feff}"] {
        std::fs::write(&file, format!("{bom}{}\n", server.root_key)).unwrap();
        assert_eq!(anonymous(&args).ok(), "no keys\n");
    }
    std::fs::write(&file, "x".repeat(70_000)).unwrap();
    assert!(anonymous(&args).failed(64).contains("larger than 65536 bytes"));
}

#[test]
fn a_bad_root_key_is_refused_and_not_repeated() {
    let server = Serving::start();
    let error = with_root_key(&["keys", "list", "--server", &server.url]).failed(1);
    assert!(error.starts_with("error: UNAUTHENTICATED: ") && error.contains("CREDENTIAL_INVALID"), "{error}");
    assert!(!error.contains("root_secret"), "{error}");
}

#[test]
fn the_root_key_does_not_travel_in_plain_text() {
    // 192.0.2.0/24 is for documentation: nothing answers there.
    for server in ["http://192.0.2.1:50051", "http://keys.example.com", "http://localhost.example.com:1"] {
        let error = with_root_key(&["keys", "list", "--server", server]).failed(64);
        assert!(error.contains("plain text") && !error.contains("root_secret"), "{error}");
    }
    let meant = ["keys", "list", "--server", "http://192.0.2.1:50051", "--allow-plaintext", "--timeout", "50ms"];
    with_root_key(&meant).failed(69);
}

#[test]
fn what_is_no_address() {
    for server in ["127.0.0.1:50051", "ftp://127.0.0.1", "http://", "http://127.0.0.1:1/path", "http://127.0.0.1:99999"]
    {
        let error = with_root_key(&["keys", "list", "--server", server]).failed(64);
        assert!(error.contains("--server"), "{error}");
    }
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for args in [&["keys", "list", "--server", &server][..], &["healthcheck", "--server", &server]] {
        let error = with_root_key(args).failed(69);
        assert!(error.contains(&server) && error.contains("refused"), "{error}");
    }
}

#[test]
fn nobody_answers() {
    // Connections queue and are never accepted.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let error = with_root_key(&["keys", "list", "--server", &server, "--timeout", "200ms"]).failed(69);
    assert!(error.contains("DEADLINE_EXCEEDED") || error.contains("within 200ms"), "{error}");
}

#[test]
fn bad_fields_are_named_a_line_each() {
    let server = Serving::start();
    let error = server.run(&["keys", "create", "--name", " n", "--subject", "no spaces"]).failed(1);
    assert!(error.starts_with("error: INVALID_ARGUMENT (ERROR_REASON_FIELD_INVALID)\n"), "{error}");
    assert!(error.contains("\n  name: must not start") && error.contains("\n  subject: must have"), "{error}");
}

#[test]
fn health() {
    let server = Serving::start();
    let health = |args: &[&str]| anonymous(&[&["healthcheck", "--server", &server.url], args].concat());
    assert_eq!(health(&[]).ok(), "SERVING\n");
    assert_eq!(health(&["--service", "liveness"]).ok(), "SERVING\n");
    assert_eq!(health(&["--service", "portcullis.v1.VerificationService"]).ok(), "SERVING\n");
    assert_eq!(health(&["--quiet"]).ok(), "");
    let answer = health(&["--output", "json"]).ok();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&answer).unwrap(), json!({"status": "SERVING"}));
    assert!(health(&["--service", "unheard-of"]).failed(1).starts_with("error: NOT_FOUND: "));
}

#[test]
fn over_tls_with_an_authority_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (cert, key, other) = (at("cert.pem"), at("key.pem"), at("other.pem"));
    let made = |host: &str| rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let own = made("localhost");
    std::fs::write(&cert, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    std::fs::write(&other, made("localhost").cert.pem()).unwrap();

    let server = Serving::start_with(&["--tls-cert", &cert, "--tls-key", &key]);
    let url = server.url.replace("127.0.0.1", "localhost");
    let list = |args: &[&str]| server.run(&[&["keys", "list", "--server", &url], args].concat());
    assert_eq!(list(&["--tls-ca", &cert]).ok(), "no keys\n");
    for untrusted in [&[][..], &["--tls-ca", &other]] {
        let error = list(untrusted).failed(69);
        assert!(error.contains("certificate"), "{error}");
    }
    list(&["--tls-ca", "/nonexistent"]).failed(64);
    list(&["--tls-ca", &key]).failed(64);
    assert_eq!(server.run(&["keys", "list", "--tls-ca", &cert]).code, 69, "the certificate is not for 127.0.0.1");
    server.run(&["keys", "list", "--server", &url.replace("https", "http")]).failed(69);
}
