//! What the other end of a connection speaks: hyper takes calls before that is known.

use tokio::sync::oneshot;

/// Where the type of a frame is in its head.
const TYPE_AT: usize = 3;
/// The type of the frame that every server begins with.
const SETTINGS: u8 = 4;

/// The first byte of a server that expected TLS. No HTTP/2 begins with it: the frame would be of more than 1 MiB.
const TLS_ALERT: u8 = 0x15;

/// What a Portcullis with TLS says to plaintext, in a GOAWAY behind its SETTINGS.
const USE_TLS: &[u8] = b"this port speaks TLS";

/// What a server begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Greeting {
    /// HTTP/2.
    Http2,
    /// TLS, where plaintext was spoken to it.
    TlsAlert,
}

/// What to show all that is read to, in its order; and what that answers once the first frame has begun, with an error
/// if it is not a server's first.
pub fn greeting() -> (impl FnMut(&[u8]) + Send, oneshot::Receiver<Greeting>) {
    let (sender, greeted) = oneshot::channel();
    let mut sender = Some(sender);
    let mut seen = 0;
    let read = move |bytes: &[u8]| {
        if sender.is_none() {
            return;
        }
        let greeting = match (bytes.first(), bytes.get(TYPE_AT - seen)) {
            (Some(&TLS_ALERT), _) if seen == 0 => Some(Greeting::TlsAlert),
            _ if bytes.windows(USE_TLS.len()).any(|part| part == USE_TLS) => Some(Greeting::TlsAlert),
            (_, None) => {
                seen += bytes.len();
                return;
            }
            (_, Some(&SETTINGS)) => Some(Greeting::Http2),
            (_, Some(_)) => None,
        };
        if let (Some(sender), Some(greeting)) = (sender.take(), greeting) {
            // Whoever waited may have gone.
            sender.send(greeting).ok();
        }
    };
    (read, greeted)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError::{Closed, Empty};

    use super::{Greeting, greeting};

    #[test]
    fn settings_are_one() {
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0];
        for size in 1..=settings.len() {
            let (mut read, mut greeted) = greeting();
            for bytes in settings.chunks(size) {
                read(bytes);
            }
            assert_eq!(greeted.try_recv(), Ok(Greeting::Http2), "{size}");
        }
    }

    #[test]
    fn an_alert_of_tls_is_another() {
        let (mut read, mut greeted) = greeting();
        read(&[0x15]);
        read(&[3, 3, 0, 2, 2, 50]);
        assert_eq!(greeted.try_recv(), Ok(Greeting::TlsAlert));
    }

    #[test]
    fn nothing_else_is() {
        let (mut read, mut greeted) = greeting();
        read(b"");
        read(&[0, 0, 6]);
        assert_eq!(greeted.try_recv(), Err(Empty));
        drop(read);
        assert_eq!(greeted.try_recv(), Err(Closed));

        let (mut read, mut greeted) = greeting();
        read(b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!(greeted.try_recv(), Err(Closed));
    }
}
