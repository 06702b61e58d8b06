//! TLS, with a certificate authority of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::{Process, ROOT_KEY, Server, client, portcullis, serve, sqlite_in};

/// The files of an authority and of an identity for this machine that it vouches for.
struct Identity {
    authority: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Identity {
    fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &authority).unwrap();
        let written = |name: &str, text: String| {
            let path = dir.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        Self {
            authority: written("ca.pem", authority.pem()),
            cert: written("cert.pem", cert.pem()),
            key: written("key.pem", key.serialize_pem()),
        }
    }
}

#[tokio::test]
async fn clients_that_trust_the_authority_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::new(dir.path());
    let mut command = serve(&sqlite_in(dir.path()));
    // With TLS it may listen for everybody.
    command.arg("--tls-cert").arg(&identity.cert).arg("--tls-key").arg(&identity.key).args(["--listen", "0.0.0.0:0"]);
    let (server, address) = Server::start_unconnected(command).await;
    let port = address.rsplit_once(':').unwrap().1;
    let (https, http) = (format!("https://localhost:{port}"), format!("http://127.0.0.1:{port}"));
    let authority = identity.authority.to_str().unwrap();

    let create = ["keys", "create", "--name", "one", "--subject", "user_1", "--quiet"];
    let trusting = |server: &str, args: &[&str]| client(server, ROOT_KEY, [args, &["--tls-ca", authority]].concat());
    let secret = Process::run(trusting(&https, &create)).await.with_code(0).stdout;
    Process::run(trusting(&https, &["keys", "verify", secret.trim()])).await.with_code(0);
    Process::run(trusting(&format!("https://127.0.0.1:{port}"), &["healthcheck"])).await.with_code(0);

    // The authority is not one of the public ones; and in plain text there is no answer at all.
    let distrusting = Process::run(client(&https, ROOT_KEY, create)).await.with_code(69);
    assert!(distrusting.stderr.contains("not signed by an authority that is trusted here"), "{distrusting:#?}");
    Process::run(client(&https, ROOT_KEY, ["healthcheck"])).await.with_code(69);
    let plain = Process::run(client(&http, ROOT_KEY, create)).await.with_code(69);
    assert_eq!(plain.stderr, "error: UNAVAILABLE: the server speaks TLS there: use https://; nothing was changed\n");
    // And the same by HTTP/1.1.
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("this port speaks TLS: use https://"), "{answer}");

    server.signal(rustix::process::Signal::INT);
    server.ended().await.with_code(0);
}

#[tokio::test]
async fn clients_are_told_what_speaks_no_tls_and_what_signed_itself() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Server::start(serve(&sqlite_in(dir.path()))).await;
    let of = |address: &str| format!("https://{}", address.rsplit_once("//").map_or(address, |(_, place)| place));
    let https = of(&plain.address);
    let ran = Process::run(client(&https, ROOT_KEY, ["keys", "list"])).await.with_code(69);
    assert!(ran.stderr.contains("the server does not speak TLS there: use http://"), "{ran:#?}");
    plain.stop().await.with_code(0);

    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (dir.path().join("self.pem"), dir.path().join("self.key"));
    fs::write(&cert_file, cert.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    let mut command = serve(&sqlite_in(dir.path()));
    command.arg("--tls-cert").arg(&cert_file).arg("--tls-key").arg(&key_file);
    let (server, address) = Server::start_unconnected(command).await;
    let https = of(&address);
    let ran = Process::run(client(&https, ROOT_KEY, ["keys", "list"])).await.with_code(69);
    assert!(ran.stderr.contains("not signed by an authority that is trusted here"), "{ran:#?}");
    server.signal(rustix::process::Signal::INT);
    server.ended().await.with_code(0);
}

#[tokio::test]
async fn files_that_are_no_identity_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Identity { authority, cert, key } = Identity::new(dir.path());
    let missing = dir.path().join("missing.pem");
    let noise = dir.path().join("noise.pem");
    fs::write(&noise, "no PEM").unwrap();
    for (cert, key, code) in [(&missing, &key, 64), (&cert, &missing, 64), (&noise, &key, 64), (&cert, &authority, 64)]
    {
        let mut command = portcullis(["serve", "--listen", "127.0.0.1:0"]);
        command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key).current_dir(dir.path());
        let named = [cert, key].iter().any(|file| **file == missing);
        let parts: &[&str] = if named { &["cannot read", "missing.pem"] } else { &[] };
        let said = Process::run(command).await.with_code(code).stderr;
        assert!(said.contains("\ntls-") && parts.iter().all(|part| said.contains(part)), "{said}");
    }
    assert!(!dir.path().join("portcullis.db").exists(), "nothing was begun");
}
