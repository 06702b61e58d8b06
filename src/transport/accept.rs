//! Accepting connections.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time;

use super::connection::{self, Door};
use super::{Cores, Settings, files};

/// Most connections at once, if the system allows as many open files; more wait in the listener's queue. See
/// docs/performance.md for what one holds.
const CONNECTIONS_MAX: usize = 16_384;
/// How long to wait when the system refuses connections, mostly because too many files are open.
const REFUSED_WAIT: Duration = Duration::from_millis(100);

/// Serves what connects to `listener` on `cores` until [`Settings::close`] says so.
pub async fn serve<D: Door>(listener: TcpListener, cores: &Cores, settings: Settings, door: D) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX.min(files::connections_max())));
    let accepting = async {
        loop {
            let place = places.clone().acquire_owned().await.expect("never closed");
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                // The peer's own doing, and no reason to keep others waiting.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    time::sleep(REFUSED_WAIT).await;
                    continue;
                }
            };
            // Off this thread's event queue, so that the serving thread can put it into its own.
            let Ok(stream) = stream.into_std() else { continue };
            let (settings, door) = (settings.clone(), door.clone());
            cores.spawn(async move {
                connection::serve(stream, peer, &settings, door).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = settings.close.cancelled() => {}
        () = accepting => {}
    }
}
