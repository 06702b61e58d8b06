//! Accepting connections.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time;

use super::Cores;
use super::connection::{self, Door, Settings};

/// How long to wait when the system refuses connections, mostly because too many files are open.
const REFUSED_WAIT: Duration = Duration::from_millis(100);

/// Serves what connects to `listener` on `cores` until [`Settings::close`] says so.
pub async fn serve<D: Door>(listener: TcpListener, cores: &Cores, settings: Settings, door: D) {
    let accepting = async {
        loop {
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
            // Without a place it is closed at once, which tells the client more than silence does.
            let Some(place) = settings.connections.admit(peer, settings.close.child_token()) else { continue };
            let (settings, door) = (settings.clone(), door.clone());
            cores.spawn(async move {
                connection::serve(stream, place.state.clone(), &settings, door).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = settings.close.cancelled() => {}
        () = accepting => {}
    }
}
