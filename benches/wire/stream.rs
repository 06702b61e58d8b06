//! One VerifyStream on each connection, with as many messages in flight as there would be calls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use h2::SendStream;
use prost::Message as _;

use crate::Error;
use crate::grpc::{Answer, Answers, Connection, Head, framed, take_message};
use crate::load::Recorder;
use crate::messages::{VerifyStreamRequest, VerifyStreamResponse};
use crate::portcullis::{Key, Portcullis};
use crate::process::Process;
use crate::target::{Lane, Share, Target};
use crate::usage::Usage;

/// Where it is.
pub const PATH: &str = "/portcullis.v1.VerificationService/VerifyStream";

/// The method, with a message for each key.
pub struct Stream<'a> {
    process: &'a Process,
    head: Head,
    keys: Arc<[Key]>,
    messages: Arc<[Bytes]>,
}

impl<'a> Stream<'a> {
    /// Asks about every key in turn; the correlation id is the key's number.
    pub fn new(portcullis: &'a Portcullis) -> Result<Self, Error> {
        let keys = portcullis.keys.clone();
        let message = |(number, key): (usize, &Key)| {
            framed(&VerifyStreamRequest { correlation_id: number.to_string(), request: Some(key.request.clone()) })
        };
        let messages = keys.iter().enumerate().map(message).collect();
        let head = Head::new(&portcullis.process.address, PATH, &portcullis.root_key)?;
        Ok(Self { process: &portcullis.process, head, keys, messages })
    }
}

impl Target for Stream<'_> {
    type Lane = StreamLane;

    fn name(&self) -> &'static str {
        "VerifyStream"
    }

    fn usage(&self) -> Result<Usage, Error> {
        self.process.usage()
    }

    async fn connect(&self, share: &Share) -> Result<Vec<StreamLane>, Error> {
        let mut connection = Connection::open(&self.process.address).await?;
        let (send, answer) = connection.begin(&self.head).await?;
        let lane = StreamLane {
            _connection: connection,
            send,
            answers: Incoming::Awaited(Some(answer)),
            keys: self.keys.clone(),
            messages: self.messages.clone(),
            next: share.beginnings(self.keys.len()).next().unwrap_or_default(),
            in_flight_max: share.in_flight,
            in_flight: VecDeque::new(),
            arrived: Bytes::new(),
        };
        Ok(vec![lane])
    }
}

/// A stream.
pub struct StreamLane {
    _connection: Connection,
    send: SendStream<Bytes>,
    answers: Incoming,
    keys: Arc<[Key]>,
    messages: Arc<[Bytes]>,
    next: usize,
    in_flight_max: usize,
    /// When each message was sent that is not answered yet, oldest first, and about which key it is.
    in_flight: VecDeque<(Instant, usize)>,
    /// What has arrived and is not looked at yet.
    arrived: Bytes,
}

/// The answers of a stream; a server may begin to answer only after the first message.
enum Incoming {
    Awaited(Option<Answer>),
    Begun(Answers),
}

impl Lane for StreamLane {
    async fn turn(&mut self, recorder: &Recorder) -> Result<(), Error> {
        self.ask()?;
        if let Incoming::Awaited(answer) = &mut self.answers {
            self.answers = Incoming::Begun(answer.take().ok_or("a stream that failed is used")?.begun().await?);
        }
        let Incoming::Begun(answers) = &mut self.answers else { unreachable!("it has just begun") };
        let piece = answers.next().await?.ok_or("the stream ended")?;
        // Most pieces are whole messages.
        self.arrived = if self.arrived.is_empty() { piece } else { [&self.arrived[..], &piece[..]].concat().into() };
        while let Some(message) = take_message(&mut self.arrived) {
            let answer = VerifyStreamResponse::decode(message)?;
            let number: usize = answer.correlation_id.parse()?;
            // Nearly always the oldest: answers need not come in order, but hardly ever do not.
            let at = self.in_flight.iter().position(|(_, asked)| *asked == number);
            let (began, _) = at.and_then(|at| self.in_flight.remove(at)).ok_or("an answer to no question")?;
            recorder.done(began, 1);
            self.keys[number].check(&answer.response)?;
        }
        Ok(())
    }
}

impl StreamLane {
    /// Asks until as many messages are in flight as shall be; all in one go, as whoever has many to ask about does.
    fn ask(&mut self) -> Result<(), Error> {
        let began = Instant::now();
        let mut messages = BytesMut::new();
        while self.in_flight.len() < self.in_flight_max {
            messages.extend_from_slice(&self.messages[self.next]);
            self.in_flight.push_back((began, self.next));
            self.next = (self.next + 1) % self.messages.len();
        }
        if !messages.is_empty() {
            self.send.send_data(messages.freeze(), false)?;
        }
        Ok(())
    }
}
