//! No secret is ever in a log, however much is logged.

use portcullis::grpc::pb::{self, Verdict};

use crate::support::backend::{Backend, Fixture};
use crate::support::process::{Process, ROOT_KEY, Server, client, printed_root_key, serve, serve_fresh};
use crate::support::service::{Caller, new_key};

/// Does all that has to do with secrets; every secret that was seen.
async fn exercise(caller: &mut Caller) -> Vec<String> {
    let (key, first) = caller.create(new_key("one")).await;
    let (argon2id, hashed) = {
        let keyspace = pb::Keyspace {
            id: "slow".into(),
            hash_policy: pb::HashPolicy::Argon2id.into(),
            key_prefix: "slow".into(),
            ..Default::default()
        };
        let request = pb::CreateKeyspaceRequest { keyspace: Some(keyspace) };
        caller.keyspaces.create_keyspace(request).await.expect("a keyspace");
        caller.create(pb::CreateApiKeyRequest { keyspace: "slow".into(), ..new_key("two") }).await
    };
    let overlap = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let rotate = pb::RotateApiKeyRequest { id: key.id.clone(), overlap, ..Default::default() };
    let second = caller.keys.rotate_api_key(rotate).await.expect("rotated").into_inner().secret;
    for secret in [&first, &second, &hashed] {
        assert_eq!(caller.verdict(secret).await, Verdict::Valid);
        let request = pb::VerifyApiKeyRequest { key: secret.clone(), ..Default::default() };
        caller.keys.verify_api_key(request).await.expect("a verdict");
    }

    // Errors, with secrets wherever a confused caller might put one.
    let misplaced = pb::CreateApiKeyRequest {
        keyspace: second.clone(),
        name: format!("{second}\u{7}"),
        subject: format!("{second} "),
        scopes: vec![format!("{second}!")],
        request_id: second.clone(),
        ..Default::default()
    };
    caller.keys.create_api_key(misplaced).await.unwrap_err();
    caller.get(&second).await.unwrap_err();
    let list = pb::ListApiKeysRequest { page_token: second.clone(), ..Default::default() };
    caller.keys.list_api_keys(list).await.unwrap_err();
    let mistyped = format!("{}x", &hashed[..hashed.len() - 1]);
    assert_eq!(caller.verdict(&mistyped).await, Verdict::Malformed);

    let target = Some(pb::revoke_api_key_request::Target::Secret(second.clone()));
    let revoke = pb::RevokeApiKeyRequest { target, ..Default::default() };
    caller.keys.revoke_api_key(revoke).await.expect("revoked");
    assert_eq!(caller.verdict(&first).await, Verdict::Revoked);
    caller
        .keys
        .delete_api_key(pb::DeleteApiKeyRequest { id: argon2id.id, ..Default::default() })
        .await
        .expect("deleted");
    assert_eq!(caller.verdict(&hashed).await, Verdict::NotFound);
    vec![first, second, hashed]
}

async fn check(backend: Backend, format: &str) {
    let fixture = Fixture::new(backend).await;
    let mut command = serve_fresh(&fixture.url);
    command.env("PORTCULLIS_LOG", "trace,h2=trace,hyper=trace").env("PORTCULLIS_LOG_FORMAT", format);
    let server = Server::start(command).await;
    let root_key = printed_root_key(&server.process.stderr()).expect("a first start").to_owned();
    let mut secrets = exercise(&mut server.caller(&root_key)).await;
    let stranger = "a credential that is no root key of this store at all";
    server.caller(stranger).get("key_x").await.unwrap_err();
    let log = server.stop().await.stderr;
    assert!(log.contains("TRACE"), "everything is logged");

    // The first start shows the root key, in a line that is none of the log's.
    let shown = format!("export PORTCULLIS_ROOT_KEY={root_key}\n");
    assert_eq!(log.matches(&shown).count(), 1);
    let log = log.replace(&shown, "");
    assert!(!log.contains(stranger));
    secrets.push(root_key);
    for secret in secrets {
        // The last 38 characters are the secret part and its checksum; what stands before them is public.
        let private = &secret[secret.len() - 38..secret.len() - 6];
        let found = log.lines().find(|line| line.contains(private));
        assert_eq!(found, None);
        // As HTTP/2 and protobuf might print bytes: a list of numbers.
        let numbers: Vec<_> = private.bytes().take(8).map(|byte| byte.to_string()).collect();
        assert!(!log.contains(&numbers.join(", ")));
    }
}

#[tokio::test]
async fn no_secret_is_in_the_log_on_sqlite() {
    check(Backend::Sqlite, "text").await;
}

#[tokio::test]
async fn no_secret_is_in_the_log_on_postgres() {
    check(Backend::Postgres, "json").await;
}

/// What a process was started with, the system shows for as long as it lives.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_environment_of_a_server_holds_no_secret() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let mut command = serve(&fixture.url);
    command.env("PORTCULLIS_NOTIFY_URL", &fixture.url).env("PORTCULLIS_ROOT_KEY", "the-key-of-another-server");
    let server = Server::start(command).await;
    server.admin().create(new_key("one")).await;
    let of_process = |name: &str| std::fs::read(format!("/proc/{}/{name}", server.process.id())).expect("it runs");
    let environment = String::from_utf8(of_process("environ")).expect("text");
    assert!(environment.contains("PORTCULLIS_LISTEN=127.0.0.1:0"), "{environment}");
    assert!(!environment.contains(ROOT_KEY) && !environment.contains(&fixture.url), "{environment}");
    assert!(!environment.contains("the-key-of-another-server"), "{environment}");
    // What was handed over is wiped.
    let handed_over: Vec<_> =
        environment.split('\0').filter_map(|pair| pair.split_once("_FILE=/proc/self/fd/")).collect();
    assert_eq!(handed_over.len(), 3, "{environment}");
    for (_, fd) in handed_over {
        assert_eq!(of_process(&format!("fd/{fd}")), b"");
    }
    server.stop().await;
}

/// A server from files is like one from variables; and its memory is not for others.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn secrets_come_from_files() {
    use std::os::unix::fs::MetadataExt as _;
    let fixture = Fixture::new(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let (root_key, url) = (dir.path().join("root"), dir.path().join("url"));
    std::fs::write(&root_key, format!("{ROOT_KEY}\n")).unwrap();
    std::fs::write(&url, format!("{}\n", fixture.url)).unwrap();
    let mut command = serve_fresh(&fixture.url);
    command.env_remove("PORTCULLIS_DATABASE_URL").env("PORTCULLIS_DATABASE_URL_FILE", &url);
    command.env("PORTCULLIS_BOOTSTRAP_ROOT_KEY_FILE", &root_key);
    let server = Server::start(command).await;
    let server_url = format!("http://{}", server.address);
    let mut list = client(&server_url, "", ["keys", "list"]);
    list.env_remove("PORTCULLIS_ROOT_KEY").env("PORTCULLIS_ROOT_KEY_FILE", &root_key);
    Process::run(list).await.with_code(0);
    // The system gives the memory of a process that must not be dumped to root.
    if !rustix::process::geteuid().is_root() {
        assert!(std::fs::File::open(format!("/proc/{}/mem", server.process.id())).is_err());
    }
    assert_eq!(std::fs::metadata(format!("/proc/{}/environ", server.process.id())).unwrap().uid(), 0);
    server.stop().await;
}
