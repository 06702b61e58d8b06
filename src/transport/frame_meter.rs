//! Follows the frames of HTTP/2 as their bytes are read, and ends a connection that sends too many that do nothing:
//! WINDOW_UPDATE, PING, SETTINGS, PRIORITY, CONTINUATION, empty DATA, and calls that are reset as they begin.
//!
//! It sees no more than the nine bytes before each frame. What is wrong with them is for the codec behind to say.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};

use super::state::{ConnectionState, EndReason};
use crate::clock::{Clock as _, SystemClock};

const HEAD_LEN: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Frames that do nothing, before a connection has authenticated: so many at once, and so many a second.
const UNAUTHENTICATED_FRAMES: Rate = Rate { burst: 2_000, per_second: 200 };
/// And after. Each request allows [`FRAMES_PER_REQUEST`] more, as clients ping and widen windows for those.
const FRAMES: Rate = Rate { burst: 10_000, per_second: 5_000 };
const FRAMES_PER_REQUEST: u32 = 8;
/// Resets. Those of calls whose deadline has passed come at the rate of calls: a reset costs less than a call, so that
/// only what no caller does is too much.
const UNAUTHENTICATED_RESETS: Rate = Rate { burst: 100, per_second: 20 };
const RESETS: Rate = Rate { burst: 20_000, per_second: 5_000 };

/// How much is read at a time before a connection has authenticated. The codec keeps a place for each call whose head was
/// read until the call was looked at, some 700 bytes, and a head takes 20 bytes. It keeps as many for as long as the
/// connection lives as there ever were at once.
const UNAUTHENTICATED_READ_MAX: u64 = 2_048;
/// After that: so much at a time, until so many heads have been read.
const READ_MAX: u64 = 1_024;
const HEADS_MAX: usize = 8;
/// And on a connection that was granted a wide window: all that a busy caller sends in a moment, so that responses leave
/// together, and calls that were reset by then are not begun.
const WIDE_HEADS_MAX: usize = 256;

/// A stream whose frames are counted.
pub struct FrameMeter<S> {
    stream: Take<S>,
    connection: Arc<ConnectionState>,
    follower: Follower,
    /// The round of the connection's task in which was read last.
    round: usize,
    is_authenticated: bool,
    is_over: bool,
}

/// Where in the frames the reader is, and what they may still be.
struct Follower {
    head: [u8; HEAD_LEN],
    head_len: usize,
    /// Bytes of the present frame that are still to come.
    payload_left: usize,
    /// HEADERS have begun and not ended.
    is_in_head: bool,
    frames: Bucket,
    resets: Bucket,
    may_earn: bool,
    /// Heads that began in the present round.
    heads: usize,
    /// Frames that were complete and outside of a head.
    completed: usize,
}

/// So many at once, and so many a second.
#[derive(Clone, Copy)]
struct Rate {
    burst: u32,
    per_second: u32,
}

/// What is left of a rate. The clock is read only when nothing is.
struct Bucket {
    rate: Rate,
    left: u32,
    filled_at: Duration,
}

/// More came than may.
struct Exceeded;

impl<S: AsyncRead> FrameMeter<S> {
    /// Counts the frames of `stream`, of which the preface was not read.
    pub fn new(stream: S, connection: Arc<ConnectionState>) -> Self {
        let now = SystemClock.elapsed();
        let follower = Follower {
            head: [0; HEAD_LEN],
            head_len: 0,
            payload_left: super::rewound::PREFACE.len(),
            is_in_head: false,
            frames: Bucket::new(UNAUTHENTICATED_FRAMES, now),
            resets: Bucket::new(UNAUTHENTICATED_RESETS, now),
            may_earn: false,
            heads: 0,
            completed: 0,
        };
        let stream = stream.take(UNAUTHENTICATED_READ_MAX);
        Self { stream, connection, follower, round: 0, is_authenticated: false, is_over: false }
    }

    /// Returns whether anything may be read in this round of the connection's task.
    fn may_read(&mut self) -> bool {
        let is_next = self.connection.round() != self.round;
        if is_next {
            self.round = self.connection.round();
            self.follower.heads = 0;
        }
        if !self.is_authenticated && self.connection.is_authenticated() {
            self.is_authenticated = true;
            self.follower.trust();
        }
        let limit = match (self.is_authenticated, self.connection.is_wide()) {
            (true, true) if self.follower.heads < WIDE_HEADS_MAX => u64::MAX,
            (true, false) if self.follower.heads < HEADS_MAX => READ_MAX,
            (true, _) => 0,
            (false, _) if is_next => UNAUTHENTICATED_READ_MAX,
            (false, _) => return self.stream.limit() > 0,
        };
        self.stream.set_limit(limit);
        limit > 0
    }

    fn count(&mut self, bytes: &[u8]) {
        if self.follower.follow(bytes, || SystemClock.elapsed()).is_err() {
            self.is_over = true;
            self.connection.end(EndReason::FrameFlood);
        }
        self.connection.traffic().received(bytes.len(), self.follower.completed, self.follower.is_partial());
    }
}

impl Follower {
    /// Counts the frames in `bytes`, which go on where those before ended.
    fn follow(&mut self, mut bytes: &[u8], now: impl Fn() -> Duration) -> Result<(), Exceeded> {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min(bytes.len());
                self.payload_left -= skipped;
                bytes = &bytes[skipped..];
                if self.payload_left == 0 {
                    self.complete();
                }
                continue;
            }
            let more = (HEAD_LEN - self.head_len).min(bytes.len());
            self.head[self.head_len..self.head_len + more].copy_from_slice(&bytes[..more]);
            self.head_len += more;
            bytes = &bytes[more..];
            if self.head_len == HEAD_LEN {
                self.head_len = 0;
                self.begin(&now)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, now: &impl Fn() -> Duration) -> Result<(), Exceeded> {
        let [a, b, c, kind, flags, ..] = self.head;
        let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.payload_left = len;
        match kind {
            HEADERS => {
                self.heads += 1;
                self.is_in_head = flags & END_HEADERS == 0;
                if self.may_earn {
                    self.frames.earn(FRAMES_PER_REQUEST);
                }
            }
            DATA if len > 0 || flags & END_STREAM != 0 => {}
            RST_STREAM => self.resets.take(now)?,
            CONTINUATION => {
                self.is_in_head &= flags & END_HEADERS == 0;
                self.frames.take(now)?;
            }
            _ => self.frames.take(now)?,
        }
        if len == 0 {
            self.complete();
        }
        Ok(())
    }

    fn complete(&mut self) {
        if !self.is_in_head {
            self.completed = self.completed.wrapping_add(1);
        }
    }

    /// Whether what was begun is still to be finished.
    fn is_partial(&self) -> bool {
        self.head_len > 0 || self.payload_left > 0 || self.is_in_head
    }

    fn trust(&mut self) {
        self.may_earn = true;
        self.frames.widen(FRAMES);
        self.resets.widen(RESETS);
    }
}

impl Bucket {
    fn new(rate: Rate, now: Duration) -> Self {
        Self { rate, left: rate.burst, filled_at: now }
    }

    fn take(&mut self, now: &impl Fn() -> Duration) -> Result<(), Exceeded> {
        if self.left == 0 {
            let now = now();
            let earned = now.saturating_sub(self.filled_at).as_millis() * u128::from(self.rate.per_second) / 1_000;
            self.left = u32::try_from(earned).unwrap_or(u32::MAX).min(self.rate.burst);
            self.filled_at = now;
        }
        self.left = self.left.checked_sub(1).ok_or(Exceeded)?;
        Ok(())
    }

    fn earn(&mut self, count: u32) {
        self.left = (self.left + count).min(self.rate.burst);
    }

    fn widen(&mut self, rate: Rate) {
        self.left += rate.burst - self.rate.burst;
        self.rate = rate;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FrameMeter<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // Nothing more is read; the connection's task was woken to end it.
        if this.is_over {
            return Poll::Pending;
        }
        if !this.may_read() {
            // More may be there: in the next round.
            this.connection.set_cut_short();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if polled.is_ready() {
            this.count(&buf.filled()[before..]);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> FrameMeter<S> {
    fn written(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.connection.traffic().written(polled.is_pending());
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for FrameMeter<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(self.stream.get_mut()).poll_write(cx, buf);
        self.written(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(self.stream.get_mut()).poll_write_vectored(cx, bufs);
        self.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::transport::unsent::Unsent;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn state() -> ConnectionState {
        let unsent = Arc::new(Unsent::new(0));
        let requests = Arc::new(crate::transport::RequestBudget::new(0));
        ConnectionState::new(([127, 0, 0, 1], 1).into(), CancellationToken::new(), unsent, requests)
    }

    fn follower() -> Follower {
        Follower {
            head: [0; HEAD_LEN],
            head_len: 0,
            payload_left: 0,
            is_in_head: false,
            frames: Bucket::new(UNAUTHENTICATED_FRAMES, Duration::ZERO),
            resets: Bucket::new(UNAUTHENTICATED_RESETS, Duration::ZERO),
            may_earn: false,
            heads: 0,
            completed: 0,
        }
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, 1];
        frame.extend(payload);
        frame
    }

    /// How many frames of a kind come through at once.
    fn allowed(follower: &mut Follower, frame: &[u8]) -> u32 {
        (0..1_000_000).find(|_| follower.follow(frame, || Duration::ZERO).is_err()).unwrap_or(u32::MAX)
    }

    /// How many bytes come through until there is nothing more to read in this round.
    fn read_in_a_round(meter: &mut FrameMeter<&[u8]>) -> usize {
        meter.connection.next_round();
        let (mut read, mut space) = (0, [0; 300]);
        loop {
            let mut buf = ReadBuf::new(&mut space);
            match Pin::new(&mut *meter).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => read += buf.filled().len(),
                _ => return read,
            }
        }
    }

    #[test]
    fn of_a_stranger_little_is_read_before_it_is_looked_at() {
        let (state, sent) = (Arc::new(state()), [0; 10_000]);
        let mut meter = FrameMeter::new(&sent[..], state.clone());
        assert_eq!(read_in_a_round(&mut meter), 2_048);
        assert_eq!(read_in_a_round(&mut meter), 2_048);
        state.authenticated("a caller");
        assert_eq!(read_in_a_round(&mut meter), sent.len() - 2 * 2_048);
    }

    #[test]
    fn of_a_caller_so_many_calls_are_read_before_they_are_looked_at() {
        let state = Arc::new(state());
        let call = [frame(HEADERS, END_HEADERS, &[0x83, 0x86, 0x84]), frame(RST_STREAM, 0, b"1234")].concat();
        let sent = call.repeat(2_000);
        let mut meter = FrameMeter::new(&sent[..], state.clone());
        meter.follower.payload_left = 0;
        state.authenticated("a caller");
        let narrow = read_in_a_round(&mut meter);
        assert_eq!(narrow, 300, "what a reader takes at once");
        assert_eq!(read_in_a_round(&mut meter), narrow);
        assert!(state.is_cut_short());
        state.set_wide();
        let wide = read_in_a_round(&mut meter) / call.len();
        assert!((WIDE_HEADS_MAX..WIDE_HEADS_MAX + 300 / call.len()).contains(&wide), "{wide}");
        // What is not of calls is not cut.
        let body = frame(DATA, 0, &[0; 250]).repeat(10_000);
        let mut meter = FrameMeter::new(&body[..], state.clone());
        assert_eq!(read_in_a_round(&mut meter), body.len());
    }

    #[test]
    fn frames_are_found_wherever_reads_end() {
        let mut sent = frame(HEADERS, END_HEADERS, b"abc");
        sent.extend(frame(DATA, END_STREAM, b""));
        sent.extend(frame(PING, 0, b"12345678"));
        for step in 1..sent.len() {
            let mut follower = follower();
            for piece in sent.chunks(step) {
                assert!(follower.follow(piece, || Duration::ZERO).is_ok());
            }
            assert_eq!((follower.completed, follower.is_partial()), (3, false), "{step}");
            assert_eq!(follower.frames.left, UNAUTHENTICATED_FRAMES.burst - 1);
        }
    }

    #[test]
    fn what_does_nothing_is_limited() {
        for (kind, payload) in
            [(WINDOW_UPDATE, &b"1234"[..]), (PING, b"12345678"), (4, b""), (2, b"12345"), (DATA, b"")]
        {
            let mut follower = follower();
            let frame = frame(kind, 0, payload);
            assert_eq!(allowed(&mut follower, &frame), UNAUTHENTICATED_FRAMES.burst, "{kind}");
        }
        let mut follower = follower();
        assert_eq!(allowed(&mut follower, &frame(RST_STREAM, 0, b"1234")), UNAUTHENTICATED_RESETS.burst);
    }

    #[test]
    fn a_second_later_some_more_may_come() {
        let mut bucket = Bucket::new(UNAUTHENTICATED_FRAMES, Duration::ZERO);
        let mut allowed = |now| (0..10_000).find(|_| bucket.take(&|| Duration::from_secs(now)).is_err()).unwrap();
        assert_eq!(allowed(0), UNAUTHENTICATED_FRAMES.burst);
        assert_eq!(allowed(1), UNAUTHENTICATED_FRAMES.per_second);
        assert_eq!(allowed(1_000), UNAUTHENTICATED_FRAMES.burst);
    }

    #[test]
    fn requests_allow_more_to_who_is_known() {
        let mut follower = follower();
        follower.trust();
        let mut call = frame(HEADERS, END_HEADERS, b"abc");
        call.extend(frame(DATA, END_STREAM, b"abc"));
        for _ in 0..FRAMES_PER_REQUEST {
            call.extend(frame(WINDOW_UPDATE, 0, b"1234"));
        }
        assert_eq!(allowed(&mut follower, &call), u32::MAX);
        let update = frame(WINDOW_UPDATE, 0, b"1234");
        assert!(allowed(&mut follower, &update) <= FRAMES.burst);
    }

    #[test]
    fn a_head_is_partial_until_its_last_frame() {
        let mut follower = follower();
        assert!(follower.follow(&frame(HEADERS, 0, b"abc"), || Duration::ZERO).is_ok());
        assert!(follower.is_partial());
        assert!(follower.follow(&frame(CONTINUATION, 0, b"abc"), || Duration::ZERO).is_ok());
        assert_eq!((follower.completed, follower.is_partial()), (0, true));
        assert!(follower.follow(&frame(CONTINUATION, END_HEADERS, b"abc"), || Duration::ZERO).is_ok());
        assert_eq!((follower.completed, follower.is_partial()), (1, false));
    }
}
