//! The connection to a server.

use std::error::Error as StdError;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Uri};
use tonic::{Code, Request, Status};
use tonic_health::pb::health_client::HealthClient;
use tower::service_fn;

use super::exit::{self, Error, write_causes};
use super::first_bytes::{FirstBytes, Told};
use super::output::{Format, Out};
use super::terminal;
use crate::grpc::pb::GetKeyspaceRequest;
use crate::grpc::pb::api_key_service_client::ApiKeyServiceClient;
use crate::grpc::pb::audit_service_client::AuditServiceClient;
use crate::grpc::pb::keyspace_service_client::KeyspaceServiceClient;
use crate::grpc::pb::replica_service_client::ReplicaServiceClient;
use crate::grpc::pb::usage_service_client::UsageServiceClient;
use crate::grpc::pb::verification_service_client::VerificationServiceClient;
use crate::key::recognize::{self, TextKind};
use crate::key::secret::Secret;
use crate::text_file;

/// Where a server listens if nothing else is said.
pub const SERVER_DEFAULT: &str = "http://127.0.0.1:50051";
const ROOT_KEY_VARIABLE: &str = "PORTCULLIS_ROOT_KEY";
/// Far more than a root key; keeps `--root-key-file /dev/zero` from filling the memory.
const ROOT_KEY_FILE_SIZE_MAX: u64 = 64 * 1024;
/// Largest file with certificate authorities, in bytes.
const TLS_CA_SIZE_MAX: u64 = 4 * 1024 * 1024;
/// A page of 1,000 of the largest keys: some 150 KB each, most of it metadata.
const ANSWER_SIZE_MAX: usize = 256 * 1024 * 1024;

/// Which server, as whom, and how to show its answers.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server and output")]
pub struct ClientArgs {
    /// The server's address, http:// or https://
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PORTCULLIS_SERVER",
        default_value = SERVER_DEFAULT
    )]
    server: String,
    /// Read the root key from this file instead of the variable PORTCULLIS_ROOT_KEY. There is no flag for the key
    /// itself: every user of the machine could see it
    #[arg(long, global = true, value_name = "FILE", env = "PORTCULLIS_ROOT_KEY_FILE")]
    root_key_file: Option<PathBuf>,
    /// Trust the certificate authorities in this PEM file instead of the public ones
    #[arg(long, global = true, value_name = "FILE", env = "PORTCULLIS_TLS_CA")]
    tls_ca: Option<PathBuf>,
    /// Send the root key over http:// to another machine, because something else encrypts the way there
    // `serve` has a flag of the same name, and clap hands what is global up to the commands above.
    #[arg(id = "client_allow_plaintext", long = "allow-plaintext", global = true)]
    allow_plaintext: bool,
    /// How long to wait for the connection, and then for each answer
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "30s")]
    timeout: Duration,
    /// The form of the output
    #[arg(long, short, global = true, value_enum, value_name = "FORM", default_value = "table")]
    output: Format,
    /// Print only the secret (create, rotate), totals (usage) or ids, in either form of output
    #[arg(long, short, global = true)]
    quiet: bool,
}

impl ClientArgs {
    /// How to show answers.
    pub fn out(&self) -> Out {
        Out { format: self.output, quiet: self.quiet }
    }

    /// Connects with the root key.
    pub async fn connect(&self) -> Result<Client, Error> {
        let root_key = self.root_key()?;
        let uri = self.uri()?;
        if uri.scheme_str() == Some("http") && !is_loopback(&uri) && !self.allow_plaintext {
            return Err(Error::Usage(format!(
                "refusing to send the root key to {} in plain text: use https://, or --allow-plaintext if something \
                 else encrypts the way there",
                self.server
            )));
        }
        let bearer = bearer(&root_key)?;
        Ok(Client { channel: self.channel(uri).await?, caller: Caller { bearer: Some(bearer), timeout: self.timeout } })
    }

    /// Connects as nobody: enough to ask for the health.
    pub async fn connect_without_root_key(&self) -> Result<Client, Error> {
        let channel = self.channel(self.uri()?).await?;
        Ok(Client { channel, caller: Caller { bearer: None, timeout: self.timeout } })
    }

    fn uri(&self) -> Result<Uri, Error> {
        let wrong = |why: &str| Error::Usage(format!("--server {}: {why}", self.server));
        let uri: Uri = self.server.parse().map_err(|error| wrong(&format!("{error}")))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("must start with http:// or https://"));
        }
        // A port that is no port would be taken for none, and a path would be left out.
        let host_and_port = match (uri.host(), uri.port_u16()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let is_bare = uri.path() == "/" && uri.query().is_none();
        if !is_bare || uri.authority().is_none_or(|authority| authority.as_str() != host_and_port) {
            return Err(wrong("must be a host and a port and nothing else"));
        }
        Ok(uri)
    }

    fn root_key(&self) -> Result<Secret, Error> {
        let key = match &self.root_key_file {
            Some(path) => read_root_key(path)?,
            // Not through clap, which would keep a copy and could show it.
            None => Secret::new(std::env::var(ROOT_KEY_VARIABLE).unwrap_or_default()),
        };
        let place = match &self.root_key_file {
            Some(path) => format!("--root-key-file {}", path.display()),
            None => ROOT_KEY_VARIABLE.to_owned(),
        };
        if root_key_text(&key).is_empty() {
            return Err(Error::Usage(match &self.root_key_file {
                Some(_) => format!("{place}: is empty"),
                None => format!("no root key: set {ROOT_KEY_VARIABLE} or pass --root-key-file FILE"),
            }));
        }
        match recognize::kind_of(key.expose()) {
            Some(TextKind::KeyId) => {
                return Err(Error::Usage(format!(
                    "{place}: holds the id of a key; it must be the secret of a root key"
                )));
            }
            // It is sent all the same: an operator may have chosen such a text as the first root key.
            Some(TextKind::Secret) => {
                terminal::warn(&format!("{place}: has the form of an API key, not of a root key"));
            }
            Some(TextKind::RootKey) | None => {}
        }
        Ok(key)
    }

    async fn channel(&self, uri: Uri) -> Result<Told, Error> {
        let is_tls = uri.scheme_str() == Some("https");
        let unreachable = |why: &str| Error::Unreachable(format!("cannot connect to {}{why}", self.server));
        let because = |error: tonic::transport::Error| {
            if let Some(why) = tls_mismatch(&error) {
                return unreachable(&format!(": {why}"));
            }
            let mut why = String::new();
            write_causes(&error, &mut why).expect("a String takes all");
            unreachable(&why)
        };
        let mut endpoint = Endpoint::from(uri)
            .user_agent(concat!("portcullis-cli/", env!("CARGO_PKG_VERSION")))
            .expect("the version fits a header");
        if is_tls {
            endpoint = endpoint.tls_config(self.tls()?).map_err(|error| {
                let mut why = "TLS".to_owned();
                write_causes(&error, &mut why).expect("a String takes all");
                Error::Usage(why)
            })?;
        }
        let first = FirstBytes::default();
        let connecting = async {
            if is_tls {
                return endpoint.connect().await;
            }
            let first = first.clone();
            endpoint.connect_with_connector(service_fn(move |uri| first.clone().connect(uri))).await
        };
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(connected) => Ok(Told { channel: connected.map_err(because)?, first }),
            Err(_) => Err(unreachable(&format!(" within {}", humantime::format_duration(self.timeout)))),
        }
    }

    fn tls(&self) -> Result<ClientTlsConfig, Error> {
        let Some(path) = &self.tls_ca else { return Ok(ClientTlsConfig::new().with_webpki_roots()) };
        let wrong = |why: &str| Error::Usage(format!("--tls-ca {}: {why}", path.display()));
        let pem = text_file::read(path, TLS_CA_SIZE_MAX).map_err(|error| wrong(&format!("cannot read: {error}")))?;
        // A file without one would trust nobody, and every server would seem to be an impostor.
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(wrong("has no certificate in PEM form"));
        }
        Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
    }
}

fn read_root_key(path: &Path) -> Result<Secret, Error> {
    let text = text_file::read(path, ROOT_KEY_FILE_SIZE_MAX);
    let text =
        text.map_err(|error| Error::Usage(format!("--root-key-file {}: cannot read: {error}", path.display())))?;
    // Those who share a group were chosen; all users of the machine were not.
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o004 != 0) {
        let path = path.display();
        terminal::warn(&format!("--root-key-file {path}: every user of this machine can read it: `chmod 600 {path}`"));
    }
    Ok(Secret::new(text))
}

/// The root key without what people copy along with it. One that an operator chose has no form of its own: of it only what
/// is white at its ends is left out.
fn root_key_text(root_key: &Secret) -> &str {
    let text = root_key.expose();
    match recognize::kind_of(text) {
        Some(_) => recognize::unwrapped(text),
        None => text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}'),
    }
}

fn bearer(root_key: &Secret) -> Result<MetadataValue<Ascii>, Error> {
    let header = Secret::new(format!("Bearer {}", root_key_text(root_key)));
    let mut value: MetadataValue<Ascii> = header
        .expose()
        .parse()
        .map_err(|_| Error::Usage("the root key has characters that a header cannot carry".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What is wrong if the certificate of the server is not trusted, or the server does not speak TLS.
fn tls_mismatch(error: &(dyn StdError + 'static)) -> Option<String> {
    use tokio_rustls::rustls::{CertificateError, Error};
    let why = match exit::cause::<Error>(error)? {
        Error::InvalidMessage(_) => {
            "the server does not speak TLS there: use http://, with --allow-plaintext if it is another machine".to_owned()
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)) => {
            "the server's certificate is not signed by an authority that is trusted here: name the file of its authority \
             with --tls-ca (a certificate that signed itself is no authority: make one with an authority of your own)"
                .to_owned()
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired".to_owned()
        }
        Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name than the one in --server".to_owned()
        }
        _ => return None,
    };
    Some(why)
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// A connected server.
pub struct Client {
    channel: Told,
    caller: Caller,
}

/// Says in each call who calls and how long it will wait.
#[derive(Clone)]
pub struct Caller {
    bearer: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.set_timeout(self.timeout);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

type Calls = InterceptedService<Told, Caller>;

impl Client {
    fn calls(&self) -> Calls {
        InterceptedService::new(self.channel.clone(), self.caller.clone())
    }

    /// ApiKeyService.
    pub fn keys(&self) -> ApiKeyServiceClient<Calls> {
        ApiKeyServiceClient::new(self.calls()).max_decoding_message_size(ANSWER_SIZE_MAX)
    }

    /// VerificationService.
    pub fn verification(&self) -> VerificationServiceClient<Calls> {
        VerificationServiceClient::new(self.calls())
    }

    /// KeyspaceService.
    pub fn keyspaces(&self) -> KeyspaceServiceClient<Calls> {
        KeyspaceServiceClient::new(self.calls()).max_decoding_message_size(ANSWER_SIZE_MAX)
    }

    /// AuditService.
    pub fn audit(&self) -> AuditServiceClient<Calls> {
        AuditServiceClient::new(self.calls()).max_decoding_message_size(ANSWER_SIZE_MAX)
    }

    /// Checks that there is a keyspace of this id, as far as the root key may know.
    ///
    /// # Errors
    /// There is none.
    pub async fn check_keyspace(&self, id: &str) -> Result<(), Error> {
        let asked = GetKeyspaceRequest { id: id.to_owned() };
        match self.keyspaces().get_keyspace(asked).await {
            Err(status) if status.code() == Code::NotFound => Err(Error::Failed(format!(
                "there is no keyspace {id:?}, or none that the root key may see: `portcullis keyspaces list` shows those \
                 that there are"
            ))),
            _ => Ok(()),
        }
    }

    /// UsageService.
    pub fn usage(&self) -> UsageServiceClient<Calls> {
        UsageServiceClient::new(self.calls()).max_decoding_message_size(ANSWER_SIZE_MAX)
    }

    /// ReplicaService.
    pub fn replicas(&self) -> ReplicaServiceClient<Calls> {
        ReplicaServiceClient::new(self.calls())
    }

    /// grpc.health.v1.Health.
    pub fn health(&self) -> HealthClient<Calls> {
        HealthClient::new(self.calls())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::token;

    #[track_caller]
    fn loopback(uri: &str, expect: bool) {
        assert_eq!(is_loopback(&uri.parse().unwrap()), expect, "{uri}");
    }

    #[test]
    fn what_stays_on_this_machine() {
        loopback("http://127.0.0.1:50051", true);
        loopback("http://127.8.8.8", true);
        loopback("http://[::1]:50051", true);
        loopback("http://localhost:1", true);
        loopback("http://127.0.0.1.example.com", false);
        loopback("http://localhost.example.com", false);
        loopback("http://127.0.0.1@example.com", false);
        loopback("http://10.0.0.1", false);
        loopback("http://[::]:1", false);
    }

    #[test]
    fn the_root_key_shows_in_no_form() {
        let value = bearer(&Secret::new("root_secret\n".into())).unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer root_secret");
        assert!(!format!("{value:?}").contains("secret"));
        let Err(Error::Usage(message)) = bearer(&Secret::new("secret\u{7f}".into())) else { panic!() };
        assert!(!message.contains("secret"));
        let (_, root_key) = token::generate(&"root".parse().unwrap()).unwrap();
        let wrapped = Secret::new(format!("\u{feff}export PORTCULLIS_ROOT_KEY={}\r\n", root_key.expose()));
        assert_eq!(bearer(&wrapped).unwrap().to_str().unwrap(), format!("Bearer {}", root_key.expose()));
    }
}
