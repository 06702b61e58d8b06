//! Unary calls: of Verify, and of the server that does nothing.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prost::Message as _;

use crate::grpc::{Connection, Head, framed};
use crate::load::Recorder;
use crate::messages::{EchoRequest, EchoResponse};
use crate::portcullis::{Key, Portcullis, VERIFY};
use crate::process::Process;
use crate::target::{Lane, Share, Target};
use crate::usage::Usage;
use crate::{Error, echo};

/// A method, with calls of it.
pub struct Unary<'a> {
    name: &'static str,
    process: &'a Process,
    head: Head,
    calls: Arc<[Call]>,
}

struct Call {
    framed: Bytes,
    /// What the answer must begin with.
    expected: Bytes,
}

impl<'a> Unary<'a> {
    /// Verify, of every key in turn.
    pub fn verify(portcullis: &'a Portcullis) -> Result<Self, Error> {
        let head = Head::new(&portcullis.process.address, VERIFY, &portcullis.root_key)?;
        let call = |key: &Key| Call { framed: framed(&key.request), expected: key.expected.clone() };
        let calls = portcullis.keys.iter().map(call).collect();
        Ok(Self { name: "portcullis", process: &portcullis.process, head, calls })
    }

    /// The same under another name.
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Verify of the first so many keys only.
    pub fn first(self, keys: usize) -> Self {
        let calls = self.calls.iter().take(keys);
        Self {
            calls: calls.map(|call| Call { framed: call.framed.clone(), expected: call.expected.clone() }).collect(),
            ..self
        }
    }

    /// The server that does nothing, with as many bytes both ways and the same headers.
    pub fn echo(process: &'a Process, like: &Portcullis) -> Result<Self, Error> {
        let head = Head::new(&process.address, echo::PATH, &like.root_key)?;
        let expected: Bytes = EchoResponse::of_len(like.response_len).encode_to_vec().into();
        let call = |key: &Key| {
            let request = EchoRequest::of_len(key.request.encoded_len());
            Call { framed: framed(&request), expected: expected.clone() }
        };
        Ok(Self { name: "echo", process, head, calls: like.keys.iter().map(call).collect() })
    }
}

impl Target for Unary<'_> {
    type Lane = UnaryLane;

    fn name(&self) -> &'static str {
        self.name
    }

    fn usage(&self) -> Result<Usage, Error> {
        self.process.usage()
    }

    async fn connect(&self, share: &Share) -> Result<Vec<UnaryLane>, Error> {
        let connection = Connection::open(&self.process.address).await?;
        let lane = |next| UnaryLane {
            connection: connection.clone(),
            head: self.head.clone(),
            calls: self.calls.clone(),
            next,
        };
        Ok(share.beginnings(self.calls.len()).map(lane).collect())
    }
}

/// One call after the other.
pub struct UnaryLane {
    connection: Connection,
    head: Head,
    calls: Arc<[Call]>,
    next: usize,
}

impl Lane for UnaryLane {
    async fn turn(&mut self, recorder: &Recorder) -> Result<(), Error> {
        let call = &self.calls[self.next];
        let began = Instant::now();
        let answer = self.connection.unary(&self.head, call.framed.clone()).await?;
        recorder.done(began, 1);
        if !answer.starts_with(&call.expected) {
            return Err("an answer is not what it must be".into());
        }
        self.next = (self.next + 1) % self.calls.len();
        Ok(())
    }
}
