//! What is logged, in a process of its own: a log is for all threads.

#[path = "it/played.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod played;

use std::io;
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use portcullis_client::guard::{Guard, Rule};
use tonic::Code;

use played::{Act, Played};

const KEY: &str = "ak_s3cret";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// All that is logged on this thread from now on, until the guard is dropped.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[tokio::test]
async fn logs_tell_of_outages_and_of_no_secret() {
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, format!("Bearer {KEY}").parse().unwrap())]);
    let log = Log::default();
    let listening = log.listen();
    let server = Played::start(|call| if call == 0 { Act::valid() } else { Act::Error(Code::Internal) }).await;
    let guard = Guard::new(&server.client()).dangerously_allow_when_unavailable(true);
    guard.check(&Rule::new("default"), &headers, None).await.unwrap();
    guard.check(&Rule::new("default"), &headers, None).await.unwrap_err();
    let gone = Played::start(|_| Act::Error(Code::Unavailable)).await;
    let guard = Guard::new(&gone.client()).dangerously_allow_when_unavailable(true);
    guard.check(&Rule::new("default"), &headers, None).await.unwrap();
    drop(listening);

    let text = log.text();
    let lines = |level: &str| text.lines().filter(|line| line.contains(level) && line.contains("portcullis")).count();
    assert_eq!((lines("ERROR"), lines(" WARN")), (1, 1), "{text}");
    assert!(text.contains("code=Internal") && text.contains("code=Unavailable"), "{text}");
    assert!(!text.contains(KEY) && !text.contains("root_for_tests"), "{text}");
}
