//! The messages that travel, as far as the harness fills or reads them. By hand, for the harness must not depend on the
//! program: it is built once and measures many.

use bytes::Bytes;
use prost::Message;

/// What the echo gets.
#[derive(Clone, PartialEq, Message)]
pub struct EchoRequest {
    #[prost(string, tag = "1")]
    pub payload: String,
}

/// What the echo answers. Begins as a verdict that is VALID does, so that both are checked alike.
#[derive(Clone, PartialEq, Message)]
pub struct EchoResponse {
    #[prost(bool, tag = "1")]
    pub valid: bool,
    #[prost(int32, tag = "2")]
    pub verdict: i32,
    #[prost(string, tag = "3")]
    pub payload: String,
}

/// `portcullis.v1.VerifyRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct VerifyRequest {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, repeated, tag = "2")]
    pub required_scopes: Vec<String>,
}

/// `portcullis.v1.VerifyResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct VerifyResponse {
    #[prost(bool, tag = "1")]
    pub valid: bool,
    #[prost(int32, tag = "2")]
    pub verdict: i32,
    #[prost(string, tag = "3")]
    pub key_id: String,
}

/// `portcullis.v1.BatchVerifyRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct BatchVerifyRequest {
    #[prost(message, repeated, tag = "1")]
    pub requests: Vec<VerifyRequest>,
}

/// `portcullis.v1.BatchVerifyResponse`. Each response is looked at as bytes.
#[derive(Clone, PartialEq, Message)]
pub struct BatchVerifyResponse {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub responses: Vec<Bytes>,
}

/// `portcullis.v1.VerifyStreamRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct VerifyStreamRequest {
    #[prost(string, tag = "1")]
    pub correlation_id: String,
    #[prost(message, optional, tag = "2")]
    pub request: Option<VerifyRequest>,
}

/// `portcullis.v1.VerifyStreamResponse`. The response is looked at as bytes.
#[derive(Clone, PartialEq, Message)]
pub struct VerifyStreamResponse {
    #[prost(string, tag = "1")]
    pub correlation_id: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub response: Bytes,
}

/// `portcullis.v1.CreateApiKeyResponse`, where the key is looked at.
#[derive(Clone, PartialEq, Message)]
pub struct MadeApiKey {
    #[prost(message, optional, tag = "1")]
    pub api_key: Option<ApiKey>,
    #[prost(string, tag = "2")]
    pub secret: String,
}

/// `portcullis.v1.ApiKey`.
#[derive(Clone, PartialEq, Message)]
pub struct ApiKey {
    #[prost(string, tag = "1")]
    pub id: String,
}

/// `portcullis.v1.ListApiKeysRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct ListApiKeysRequest {
    #[prost(string, tag = "1")]
    pub keyspace: String,
    #[prost(string, tag = "2")]
    pub subject: String,
    #[prost(string, tag = "3")]
    pub query: String,
    #[prost(int32, tag = "8")]
    pub page_size: i32,
    #[prost(string, tag = "9")]
    pub page_token: String,
    #[prost(bool, tag = "11")]
    pub exact_total: bool,
}

/// `portcullis.v1.ListApiKeysResponse`. Keys are looked at as bytes.
#[derive(Clone, PartialEq, Message)]
pub struct ListApiKeysResponse {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub api_keys: Vec<Bytes>,
    #[prost(string, tag = "2")]
    pub next_page_token: String,
    #[prost(int64, tag = "3")]
    pub total_size: i64,
    #[prost(bool, tag = "4")]
    pub total_size_is_lower_bound: bool,
}

/// `portcullis.v1.RevokeApiKeyRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct RevokeApiKeyRequest {
    #[prost(string, tag = "1")]
    pub id: String,
}

/// `portcullis.v1.CreateApiKeyRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct CreateApiKeyRequest {
    #[prost(string, tag = "1")]
    pub keyspace: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub subject: String,
    #[prost(string, repeated, tag = "5")]
    pub scopes: Vec<String>,
    #[prost(message, optional, tag = "12")]
    pub rate_limit: Option<RateLimit>,
    #[prost(message, optional, tag = "13")]
    pub credits: Option<Credits>,
}

/// `portcullis.v1.RateLimit`.
#[derive(Clone, PartialEq, Message)]
pub struct RateLimit {
    #[prost(int64, tag = "1")]
    pub limit: i64,
    #[prost(message, optional, tag = "2")]
    pub window: Option<Duration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
pub struct Duration {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
}

/// `portcullis.v1.Credits`.
#[derive(Clone, PartialEq, Message)]
pub struct Credits {
    #[prost(int64, optional, tag = "1")]
    pub remaining: Option<i64>,
}

/// `portcullis.v1.CreateApiKeyResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct CreateApiKeyResponse {
    #[prost(string, tag = "2")]
    pub secret: String,
}

impl VerifyResponse {
    /// Two of the verdicts.
    pub const VALID: i32 = 1;
    pub const NOT_FOUND: i32 = 3;
}

impl EchoRequest {
    /// One whose encoding has this many bytes.
    pub fn of_len(len: usize) -> Self {
        padded(len, |payload| Self { payload })
    }
}

impl EchoResponse {
    /// One whose encoding has this many bytes.
    pub fn of_len(len: usize) -> Self {
        padded(len, |payload| Self { valid: true, verdict: 1, payload })
    }
}

fn padded<M: Message>(len: usize, message: impl Fn(String) -> M) -> M {
    let bare = message("x".into()).encoded_len() - 1;
    // A long string's length takes a second byte; no string makes up for one byte too few.
    let lens = len.saturating_sub(bare + 1)..=len.saturating_sub(bare);
    let mut messages = lens.rev().map(|filling| message("x".repeat(filling)));
    messages.find(|message| message.encoded_len() <= len).expect("the shorter one fits")
}
