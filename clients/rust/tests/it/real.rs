//! A real server: the one that `PORTCULLIS_TEST_PROGRAM` names.

use std::convert::Infallible;
use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::{HeaderMap, Request};
use portcullis_client::Client;
use portcullis_client::guard::{GrpcGuard, Guard, Identity, Reason, Rule};
use portcullis_client::pb::revoke_api_key_request::Target;
use portcullis_client::pb::{CreateApiKeyRequest, RevokeApiKeyRequest, VerifyRequest, VerifyStreamRequest};
use tempfile::TempDir;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{Layer as _, Service as _};

use crate::played::NEVER;

const ROOT_KEY: &str = "root_0123456789abcdef0123456789abcdef";

struct Server {
    address: String,
    process: Child,
    _folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let program = env::var_os("PORTCULLIS_TEST_PROGRAM").expect("PORTCULLIS_TEST_PROGRAM names the server");
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .current_dir(&folder)
            .env("PORTCULLIS_BOOTSTRAP_ROOT_KEY", ROOT_KEY)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the server says where it listens").unwrap();
            if let Some((_, address)) = line.split_once("listening on ") {
                break format!("http://{}", address.split_whitespace().next().unwrap());
            }
        };
        // It must be able to go on writing.
        std::thread::spawn(move || lines.for_each(drop));
        Self { address, process, _folder: folder }
    }

    fn client(&self) -> Client {
        Client::builder().address(&self.address).root_key(ROOT_KEY).timeout(NEVER).build().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

async fn create(client: &Client, scope: &str) -> (String, HeaderMap) {
    let request = CreateApiKeyRequest {
        name: "test".to_owned(),
        subject: "user_1".to_owned(),
        scopes: vec![scope.to_owned()],
        ..CreateApiKeyRequest::default()
    };
    let created = client.api_keys().create_api_key(request).await.unwrap().into_inner();
    let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-api-key"), created.secret.parse().unwrap())]);
    (created.api_key.unwrap().id, headers)
}

#[tokio::test]
async fn https_to_a_server_of_plaintext_is_told() {
    let server = Server::start();
    let at = server.address.trim_start_matches("http://");
    let client = Client::builder().address(format!("https://{at}")).root_key(ROOT_KEY).timeout(NEVER).build().unwrap();
    let status = client.verification().verify(VerifyRequest::default()).await.unwrap_err();
    let says = format!("the server at {at} does not speak TLS: use http://{at}, and allow_plaintext(true) or");
    assert!(status.code() == Code::Unavailable && status.message().contains(&says), "{}", status.message());
}

#[tokio::test]
async fn a_key_passes_until_it_is_revoked() {
    let server = Server::start();
    let client = server.client();
    let (id, headers) = create(&client, "orders:read").await;
    let guard = Guard::new(&client);
    let rule = Rule::new("default").scopes(["orders:read"]);
    let identity = guard.check(&rule, &headers, None).await.unwrap();
    assert_eq!((identity.key_id.as_ref(), identity.user_id()), (Some(&id), Some("user_1")));
    assert_eq!(identity.scopes, ["orders:read"]);

    let request = RevokeApiKeyRequest { target: Some(Target::Id(id)), ..RevokeApiKeyRequest::default() };
    client.api_keys().revoke_api_key(request).await.unwrap();
    let refusal = guard.check(&rule, &headers, None).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::RevokedKey);
}

#[tokio::test]
async fn a_stream_lasts() {
    let server = Server::start();
    let client = Client::builder()
        .address(&server.address)
        .root_key(ROOT_KEY)
        .timeout(Duration::from_millis(1))
        .build()
        .unwrap();
    let asked =
        |id: &str| VerifyStreamRequest { correlation_id: id.to_owned(), request: Some(VerifyRequest::default()) };
    let stream = tokio_stream::iter(["a", "b"].map(asked));
    let mut answers = client.verification().verify_stream(stream).await.unwrap().into_inner();
    for id in ["a", "b"] {
        assert_eq!(answers.message().await.unwrap().unwrap().correlation_id, id);
    }
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_method_has_a_rule_of_its_own() {
    let server = Server::start();
    let client = server.client();
    let (_, headers) = create(&client, "orders:read").await;
    let guard = GrpcGuard::new(&client, Rule::new("default").scopes(["orders:read"]))
        .method("/orders.v1.Orders/Create", Rule::new("default").scopes(["orders:write"]));
    let inner = tower::service_fn(|request: Request<Body>| async move {
        let identity = request.extensions().get::<Identity>().unwrap();
        let status = Status::new(Code::Ok, identity.subject.clone().unwrap());
        Ok::<_, Infallible>(status.into_http::<Body>())
    });
    let mut service = guard.layer(inner);
    let mut call = async |path: &str| {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = headers.clone();
        Status::from_header_map(service.call(request).await.unwrap().headers()).unwrap()
    };

    let listed = call("/orders.v1.Orders/List").await;
    assert_eq!((listed.code(), listed.message()), (Code::Ok, "user_1"));
    let created = call("/orders.v1.Orders/Create").await;
    assert_eq!(created.code(), Code::PermissionDenied);
    let info = created.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INSUFFICIENT_SCOPE", "portcullis.guard"));
    assert_eq!(info.metadata["missing_scopes"], "orders:write");
}
