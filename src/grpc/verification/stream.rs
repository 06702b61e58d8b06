//! VerifyStream: what is known is answered in the order it came; what must be looked up follows when it is there.
//!
//! A message is read only when there is room to answer it: a client that does not read its answers is not read either.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt as _};
use tonic::{Status, Streaming};

use super::place::Place;
use super::request::{Asked, read_streamed};
use super::response::{self, Entry};
use super::{ask, ask_known};
use crate::grpc::caller::Caller;
use crate::grpc::status;
use crate::verify::Verifier;

/// Most answers of one stream that wait for the store, at up to a request's size each. Those behind wait in the stream.
const WAITING_MAX: usize = 64;

/// An answer, and the caller as it was found to be now.
type Waiting = Pin<Box<dyn Future<Output = Result<(Vec<u8>, Arc<Caller>), Status>> + Send>>;

/// The answers to a stream of questions.
pub struct Answers {
    verifier: Arc<Verifier>,
    caller: Arc<Caller>,
    /// `None`: the client has asked all it will.
    questions: Option<Streaming<Bytes>>,
    waiting: FuturesUnordered<Waiting>,
}

/// Answers what `questions` ask.
pub fn answers(verifier: Arc<Verifier>, caller: Arc<Caller>, questions: Streaming<Bytes>) -> Answers {
    Answers { verifier, caller, questions: Some(questions), waiting: FuturesUnordered::new() }
}

impl Answers {
    /// The answer to a question, or one to wait for.
    fn answer(&self, message: Bytes) -> Result<Result<Vec<u8>, Waiting>, Status> {
        if self.caller.is_current(&self.verifier) {
            let (correlation_id, asked) = read_streamed(&message).map_err(status::from_malformed)?;
            asked.allowed(&self.caller, Place::Stream)?;
            if let Some(verdict) = ask_known(&self.verifier, &self.caller, &asked)? {
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
        loop {
            match self.waiting.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok((answer, caller)))) => {
                    self.caller = caller;
                    return Poll::Ready(Some(Ok(answer)));
                }
                Poll::Ready(Some(Err(status))) => return Poll::Ready(Some(Err(status))),
                Poll::Ready(None) | Poll::Pending => {}
            }
            if self.waiting.len() == WAITING_MAX {
                return Poll::Pending;
            }
            let Some(questions) = &mut self.questions else {
                return if self.waiting.is_empty() { Poll::Ready(None) } else { Poll::Pending };
            };
            match questions.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => match self.answer(message) {
                    Ok(Ok(answer)) => return Poll::Ready(Some(Ok(answer))),
                    // Polled on the way round, so that it wakes this stream.
                    Ok(Err(waiting)) => self.waiting.push(waiting),
                    Err(status) => return Poll::Ready(Some(Err(status))),
                },
                Poll::Ready(Some(Err(status))) => {
                    return Poll::Ready(Some(Err(status::completed(&status).unwrap_or(status))));
                }
                Poll::Ready(None) => self.questions = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
