//! No secret is ever in a log, however much is logged.

use portcullis::grpc::pb::{self, Verdict};

use crate::support::process::{Server, printed_root_key, serve_fresh, sqlite_in};
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
    let rotate = pb::RotateApiKeyRequest { id: key.id.clone(), overlap };
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
    caller.keys.delete_api_key(pb::DeleteApiKeyRequest { id: argon2id.id }).await.expect("deleted");
    assert_eq!(caller.verdict(&hashed).await, Verdict::NotFound);
    vec![first, second, hashed]
}

async fn check(format: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve_fresh(&sqlite_in(dir.path()));
    command.env("PORTCULLIS_LOG", "trace").env("PORTCULLIS_LOG_FORMAT", format);
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
async fn no_secret_is_in_the_log() {
    check("text").await;
    check("json").await;
}
