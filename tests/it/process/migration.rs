//! Who brings the schema up to date, and when.

use portcullis::grpc::pb::{CreateApiKeyRequest, ListApiKeysRequest};
use rustix::process::Signal;

use crate::support::backend::{Backend, Fixture};
use crate::support::process::{Process, Server, portcullis, printed_root_key, serve, serve_fresh};
use crate::support::service::new_key;

fn migrate(url: &str) -> std::process::Command {
    let mut command = portcullis(["migrate"]);
    command.env("PORTCULLIS_DATABASE_URL", url);
    command
}

#[tokio::test]
async fn postgres_is_migrated_only_when_asked() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let serve = || {
        let mut command = serve(&fixture.url);
        command.env_remove("PORTCULLIS_AUTO_MIGRATE");
        command
    };
    Process::run(serve()).await.with_code(1).with_one_line(&["version 0", "portcullis migrate"]);
    let done = Process::run(migrate(&fixture.url)).await.with_code(0);
    assert!(done.stdout.contains("schema brought to version "), "{done:#?}");
    let again = Process::run(migrate(&fixture.url)).await.with_code(0);
    assert!(again.stdout.contains("up to date"), "{again:#?}");
    let server = Server::start(serve()).await;
    server.admin().create(new_key("one")).await;
    server.stop().await;
}

#[tokio::test]
async fn sqlite_is_migrated_at_start_unless_forbidden() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let mut forbidden = serve(&fixture.url);
    forbidden.env_remove("PORTCULLIS_AUTO_MIGRATE").arg("--auto-migrate=false");
    Process::run(forbidden).await.with_code(1).with_one_line(&["version 0", "portcullis migrate"]);
    let mut usual = serve(&fixture.url);
    usual.env_remove("PORTCULLIS_AUTO_MIGRATE");
    Server::start(usual).await.stop().await;
    let done = Process::run(migrate(&fixture.url)).await.with_code(0);
    assert!(done.stdout.contains("up to date"), "{done:#?}");
}

async fn a_newer_schema_is_refused(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    Process::run(migrate(&fixture.url)).await.with_code(0);
    fixture.execute("UPDATE _sqlx_migrations SET version = 99 WHERE version = 1").await;
    let newer = ["version 99", "run a newer portcullis"];
    Process::run(serve(&fixture.url)).await.with_code(1).with_one_line(&newer);
    Process::run(migrate(&fixture.url)).await.with_code(1).with_one_line(&newer);
}

/// Keys that were named before searches composed letters are found too, once the store is migrated.
async fn names_of_before_are_found_however_they_are_composed(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let server = Server::start(serve(&fixture.url)).await;
    for name in ["Cafe\u{301}", "Cafe"] {
        server.admin().create(CreateApiKeyRequest { name: name.into(), ..new_key("x") }).await;
    }
    server.stop().await;
    let as_it_was = match backend {
        Backend::Sqlite => "UPDATE installation SET names_normalized = 0",
        Backend::Postgres => "DELETE FROM _sqlx_migrations WHERE version = 9",
    };
    fixture.execute("UPDATE api_key SET name_folded = 'cafe\u{301}' WHERE name_folded = 'caf\u{e9}'").await;
    fixture.execute(as_it_was).await;
    let server = Server::start(serve(&fixture.url)).await;
    for query in ["CAF\u{c9}", "cafe\u{301}"] {
        let request = ListApiKeysRequest { query: query.into(), ..Default::default() };
        let keys = server.admin().keys.list_api_keys(request).await.expect("a list").into_inner().api_keys;
        assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["Cafe\u{301}"], "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn names_of_before_are_found_on_sqlite() {
    names_of_before_are_found_however_they_are_composed(Backend::Sqlite).await;
}

#[tokio::test]
async fn names_of_before_are_found_on_postgres() {
    names_of_before_are_found_however_they_are_composed(Backend::Postgres).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_on_sqlite() {
    a_newer_schema_is_refused(Backend::Sqlite).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_on_postgres() {
    a_newer_schema_is_refused(Backend::Postgres).await;
}

#[tokio::test]
async fn servers_that_start_at_once_make_one_store() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let start = || Server::start(serve_fresh(&fixture.url));
    let servers: [Server; 3] = tokio::join!(start(), start(), start()).into();
    let said: Vec<_> = servers.iter().map(|server| server.process.stderr()).collect();
    let printed: Vec<_> = said.iter().filter_map(|said| printed_root_key(said)).collect();
    let [root_key] = printed[..] else { panic!("{} root keys were printed", printed.len()) };
    // It opens each of them, and they see each other's keys.
    let (key, _) = servers[0].caller(root_key).create(new_key("one")).await;
    for server in &servers {
        server.caller(root_key).get(&key.id).await.expect("it is shared");
        server.process.signal(Signal::INT);
    }
    for server in servers {
        server.process.ended().await.with_code(0);
    }
}
