//! VerifyStream: what is known is answered in the order it came; what must be looked up follows when it is there.
//!
//! A message is read only when there is room to answer it: a client that does not read its answers is not read either.
//! However a stream ends, what was read before is answered first.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt as _};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, Streaming};

use super::place::Place;
use super::request::{Asked, read_streamed};
use super::response::{self, Entry};
use super::{ask, verify_known};
use crate::grpc::caller::Caller;
use crate::grpc::status;
use crate::transport::ConnectionState;
use crate::verify::Verifier;

/// Most answers of one stream that wait for the store, at up to a request's size each. Those behind wait in the stream:
/// more would only wait for each other, and too long where the store is slow.
const WAITING_MAX: usize = 16;

/// Of a stream that never falls silent, every so many messages are followed by a look whether the server is ending, and by
/// other calls of the same thread.
const TURN: u32 = 64;

/// An answer, and the caller as it was found to be now.
type Waiting = Pin<Box<dyn Future<Output = Result<(Vec<u8>, Arc<Caller>), Status>> + Send>>;

/// The answers to a stream of questions.
pub struct Answers {
    verifier: Arc<Verifier>,
    caller: Arc<Caller>,
    questions: Questions,
    waiting: FuturesUnordered<Waiting>,
    /// `None`: it does not come over one of ours.
    connection: Option<Arc<ConnectionState>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    read: u32,
}

/// Where the questions come from.
#[expect(clippy::large_enum_variant, reason = "one a stream, and open for nearly all its life")]
enum Questions {
    /// There may be more.
    Open(Streaming<Bytes>),
    /// No more are read. How the stream ends once what waits is answered; `None`: well.
    Over(Option<Status>),
}

/// Answers what `questions` ask, until `closing` says that the server is ending.
pub fn answers(
    verifier: Arc<Verifier>,
    caller: Arc<Caller>,
    questions: Streaming<Bytes>,
    connection: Option<Arc<ConnectionState>>,
    closing: CancellationToken,
) -> Answers {
    Answers {
        verifier,
        caller,
        questions: Questions::Open(questions),
        waiting: FuturesUnordered::new(),
        connection,
        closing: Box::pin(closing.cancelled_owned()),
        read: 0,
    }
}

impl Answers {
    /// The answer to a question, or one to wait for.
    fn answer(&self, message: Bytes) -> Result<Result<Vec<u8>, Waiting>, Status> {
        if self.caller.is_current(&self.verifier) {
            let (correlation_id, asked) = read_streamed(&message).map_err(status::from_malformed)?;
            if let Some(verdict) = verify_known(&self.verifier, &self.caller, &asked, Place::Stream)? {
                return Ok(Ok(response::streamed(correlation_id, &Entry::Told(verdict))));
            }
        }
        Ok(Err(Box::pin(look_up(self.verifier.clone(), self.caller.clone(), message))))
    }
}

async fn look_up(
    verifier: Arc<Verifier>,
    caller: Arc<Caller>,
    message: Bytes,
) -> Result<(Vec<u8>, Arc<Caller>), Status> {
    let caller = if caller.is_current(&verifier) { caller } else { Arc::new(caller.renewed(&verifier).await?) };
    let (correlation_id, asked): (&str, Asked<'_>) = read_streamed(&message).map_err(status::from_malformed)?;
    asked.allowed(&caller, Place::Stream)?;
    let entry = ask(&verifier, &caller, &asked).await?;
    Ok((response::streamed(correlation_id, &entry), caller))
}

impl Stream for Answers {
    type Item = Result<Vec<u8>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match this.waiting.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok((answer, caller)))) => {
                    this.caller = caller;
                    return Poll::Ready(Some(Ok(answer)));
                }
                Poll::Ready(Some(Err(status))) => {
                    if !matches!(this.questions, Questions::Over(Some(_))) {
                        this.questions = Questions::Over(Some(status));
                    }
                    continue;
                }
                Poll::Ready(None) | Poll::Pending => {}
            }
            let questions = match &mut this.questions {
                Questions::Over(_) if !this.waiting.is_empty() => return Poll::Pending,
                Questions::Over(end) => return Poll::Ready(end.take().map(Err)),
                Questions::Open(questions) => questions,
            };
            let asked = match this.waiting.len() {
                WAITING_MAX => Poll::Pending,
                _ if this.read == TURN => Poll::Pending,
                _ => questions.poll_next_unpin(cx),
            };
            if asked.is_pending() {
                if this.closing.as_mut().poll(cx).is_ready() {
                    this.questions = Questions::Over(Some(status::ending()));
                    continue;
                }
                if this.read == TURN {
                    this.read = 0;
                    if let Some(connection) = &this.connection {
                        connection.note_calls(TURN as usize);
                    }
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            this.read += 1;
            match asked {
                Poll::Ready(Some(Ok(message))) => match this.answer(message) {
                    Ok(Ok(answer)) => return Poll::Ready(Some(Ok(answer))),
                    // Polled on the way round, so that it wakes this stream.
                    Ok(Err(waiting)) => this.waiting.push(waiting),
                    Err(status) => this.questions = Questions::Over(Some(status)),
                },
                Poll::Ready(Some(Err(status))) => {
                    let status = status::completed(&status).unwrap_or(status);
                    this.questions = Questions::Over(Some(status));
                }
                Poll::Ready(None) => this.questions = Questions::Over(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
