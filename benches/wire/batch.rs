//! Calls of BatchVerify: many keys each.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prost::Message as _;

use crate::Error;
use crate::grpc::{Connection, Head, framed};
use crate::load::Recorder;
use crate::messages::{BatchVerifyRequest, BatchVerifyResponse};
use crate::portcullis::{Key, Portcullis};
use crate::process::Process;
use crate::target::{Lane, Share, Target};
use crate::usage::Usage;

/// Where it is.
pub const PATH: &str = "/portcullis.v1.VerificationService/BatchVerify";

/// The method, with calls of it that have every key in them.
pub struct Batch<'a> {
    process: &'a Process,
    head: Head,
    keys: Arc<[Key]>,
    calls: Arc<[Call]>,
}

struct Call {
    framed: Bytes,
    /// The first key asked about; as many follow as there are answers.
    first: usize,
    len: usize,
}

impl<'a> Batch<'a> {
    /// So many keys in each call, but for the last one.
    pub fn new(portcullis: &'a Portcullis, size: usize) -> Result<Self, Error> {
        let keys = portcullis.keys.clone();
        let call = |(number, batch): (usize, &[Key])| {
            let requests = batch.iter().map(|key| key.request.clone()).collect();
            Call { framed: framed(&BatchVerifyRequest { requests }), first: number * size, len: batch.len() }
        };
        let calls = keys.chunks(size).enumerate().map(call).collect();
        let head = Head::new(&portcullis.process.address, PATH, &portcullis.root_key)?;
        Ok(Self { process: &portcullis.process, head, keys, calls })
    }
}

impl Target for Batch<'_> {
    type Lane = BatchLane;

    fn name(&self) -> &'static str {
        "BatchVerify"
    }

    fn usage(&self) -> Result<Usage, Error> {
        self.process.usage()
    }

    async fn connect(&self, share: &Share) -> Result<Vec<BatchLane>, Error> {
        let connection = Connection::open(&self.process.address).await?;
        let lane = |next| BatchLane {
            connection: connection.clone(),
            head: self.head.clone(),
            keys: self.keys.clone(),
            calls: self.calls.clone(),
            next,
        };
        Ok(share.beginnings(self.calls.len()).map(lane).collect())
    }
}

/// One call after the other.
pub struct BatchLane {
    connection: Connection,
    head: Head,
    keys: Arc<[Key]>,
    calls: Arc<[Call]>,
    next: usize,
}

impl Lane for BatchLane {
    async fn turn(&mut self, recorder: &Recorder) -> Result<(), Error> {
        let call = &self.calls[self.next];
        let began = Instant::now();
        let answer = self.connection.unary(&self.head, call.framed.clone()).await?;
        recorder.done(began, call.len as u64);
        let answers = BatchVerifyResponse::decode(answer)?.responses;
        if answers.len() != call.len {
            return Err("not as many answers as questions".into());
        }
        for (key, answer) in self.keys[call.first..].iter().zip(&answers) {
            key.check(answer)?;
        }
        self.next = (self.next + 1) % self.calls.len();
        Ok(())
    }
}
