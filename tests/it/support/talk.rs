//! A VerifyStream of a test's.

use portcullis::grpc::pb::{Verdict, VerifyRequest, VerifyResponse, VerifyStreamRequest, VerifyStreamResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::service::{Caller, in_time};

/// A stream that is open.
pub struct Talk {
    /// `None`: all was asked.
    asking: Option<mpsc::Sender<VerifyStreamRequest>>,
    answers: Streaming<VerifyStreamResponse>,
}

impl Talk {
    pub async fn begin(caller: &mut Caller) -> Self {
        Self::try_begin(caller).await.expect("a stream")
    }

    pub async fn try_begin(caller: &mut Caller) -> Result<Self, Status> {
        let (asking, asked) = mpsc::channel(1);
        let answers = caller.verification.verify_stream(ReceiverStream::new(asked)).await?.into_inner();
        Ok(Self { asking: Some(asking), answers })
    }

    pub async fn ask(&self, id: &str, request: VerifyRequest) {
        self.ask_just(VerifyStreamRequest { correlation_id: id.into(), request: Some(request) }).await;
    }

    pub async fn ask_just(&self, message: VerifyStreamRequest) {
        in_time("sending", self.asking.as_ref().expect("open").send(message)).await.expect("it is read");
    }

    /// Half-closes.
    pub fn ask_no_more(&mut self) {
        self.asking = None;
    }

    /// The next answer, `None` at a good end.
    pub async fn hear(&mut self) -> Result<Option<(String, VerifyResponse)>, Status> {
        let answer = in_time("an answer", self.answers.message()).await?;
        Ok(answer.map(|answer| (answer.correlation_id, answer.response.expect("a verdict"))))
    }

    /// Asks, and hears the answer.
    pub async fn verdict(&mut self, key: &str) -> Result<Verdict, Status> {
        self.ask("one", VerifyRequest { key: key.into(), ..Default::default() }).await;
        let (id, answer) = self.hear().await?.expect("an answer");
        assert_eq!(id, "one");
        Ok(answer.verdict())
    }
}
