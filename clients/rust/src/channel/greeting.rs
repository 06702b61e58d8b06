//! Whether anybody speaks HTTP/2 at the other end: hyper takes calls before that is known.

use tokio::sync::oneshot;

/// Where the type of a frame is in its head.
const TYPE_AT: usize = 3;
/// The type of the frame that every server begins with.
const SETTINGS: u8 = 4;

/// What to show all that is read to, in its order; and what that answers once the first frame has begun, with an error
/// if it is not a server's first.
pub fn greeting() -> (impl FnMut(&[u8]) + Send, oneshot::Receiver<()>) {
    let (sender, greeted) = oneshot::channel();
    let mut sender = Some(sender);
    let mut seen = 0;
    let read = move |bytes: &[u8]| {
        if sender.is_none() {
            return;
        }
        match bytes.get(TYPE_AT - seen) {
            None => seen += bytes.len(),
            // Whoever waited may have gone.
            Some(&SETTINGS) => drop(sender.take().map(|sender| sender.send(()))),
            Some(_) => sender = None,
        }
    };
    (read, greeted)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError::{Closed, Empty};

    use super::greeting;

    #[test]
    fn settings_are_one() {
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0];
        for size in 1..=settings.len() {
            let (mut read, mut greeted) = greeting();
            for bytes in settings.chunks(size) {
                read(bytes);
            }
            assert_eq!(greeted.try_recv(), Ok(()), "{size}");
        }
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
