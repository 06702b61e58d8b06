//! Frames that are none, in no order, or that say what they must not; and calls that are none.
//!
//! The cases are those that gRPC's own implementations are tried with ("bad client"), and those of RFC 9113 that go with
//! them.

use std::time::Instant;

use super::{Expected, PATIENCE};
use crate::client::Endpoint;
use crate::frames::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, PUSH_PROMISE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, grpc_block, grpc_data, grpc_headers, settings, window_update,
};
use crate::methods;
use crate::raw::Raw;

/// Bytes, the first included.
pub struct Case {
    pub name: &'static str,
    bytes: Vec<u8>,
    expected: Expected,
    /// Whether it ends by itself in no time.
    pub is_quick: bool,
}

impl Case {
    /// Sends them; what is wrong with what came of it.
    pub async fn run(&self, endpoint: &Endpoint) -> Result<(), String> {
        let raw = Raw::silent(endpoint).await.map_err(|error| error.to_string())?;
        // The server may end the connection while it is written to.
        let _ = raw.send(&self.bytes).await;
        if self.expected == Expected::Nothing {
            return Ok(());
        }
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let ended = raw.is_ended() || count(&raw.peer.goaways);
            let answered = count(&raw.peer.heads);
            let well = match self.expected {
                Expected::Ends => ended,
                Expected::AnswersOrEnds => ended || answered || count(&raw.peer.resets),
                Expected::Answers => answered,
                Expected::Nothing => true,
            };
            if well {
                return Ok(());
            }
            if ended {
                return Err("the connection was ended".into());
            }
            let _ = tokio::time::timeout(std::time::Duration::from_millis(20), raw.heard()).await;
        }
        Err(format!("not {:?} within {PATIENCE:?}", self.expected))
    }
}

fn count(counter: &std::sync::atomic::AtomicU32) -> bool {
    counter.load(std::sync::atomic::Ordering::Relaxed) > 0
}

/// Every case.
pub fn cases() -> Vec<Case> {
    let mut cases = preface();
    cases.extend(wrong_frames());
    cases.extend(wrong_heads());
    cases.extend(wrong_calls());
    cases
}

fn case(name: &'static str, expected: Expected, bytes: Vec<u8>) -> Case {
    Case { name, bytes, expected, is_quick: expected != Expected::Nothing }
}

fn preface() -> Vec<Case> {
    let mut cases = vec![
        case("another preface", Expected::Ends, b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".repeat(4)),
        case("garbage after the preface", Expected::Ends, [PREFACE, &[0xff; 64]].concat()),
        // The h2 crate does not insist on SETTINGS as the first frame; nothing is lost by that.
        case("PING before SETTINGS", Expected::AnswersOrEnds, {
            let call = [grpc_headers(1, methods::VERIFY, None), grpc_data(1, END_STREAM, &[])].concat();
            [PREFACE, &frames::ping(1), &settings(&[]), &call].concat()
        }),
        case("a cut frame", Expected::Nothing, [PREFACE, &settings(&[])[..5]].concat()),
    ];
    cases.extend((1..PREFACE.len()).map(|len| case("a cut preface", Expected::Nothing, PREFACE[..len].to_vec())));
    cases
}

/// After a proper beginning.
fn after_preface(name: &'static str, expected: Expected, bytes: impl AsRef<[u8]>) -> Case {
    case(name, expected, [PREFACE, &settings(&[]), bytes.as_ref()].concat())
}

/// After an open call.
fn after_call(name: &'static str, expected: Expected, bytes: impl AsRef<[u8]>) -> Case {
    after_preface(name, expected, [&grpc_headers(1, methods::VERIFY, None), bytes.as_ref()].concat())
}

fn wrong_frames() -> Vec<Case> {
    use Expected::{Answers, AnswersOrEnds, Ends};
    let largest_window = 0x7fff_ffff_u32;
    let ended_call = [grpc_headers(1, methods::VERIFY, None), grpc_data(1, END_STREAM, &[])].concat();
    vec![
        after_preface("SETTINGS of 5 bytes", Ends, frame(SETTINGS, 0, 0, &[0; 5])),
        after_preface("SETTINGS acknowledged with bytes", Ends, frame(SETTINGS, ACK, 0, &[0; 6])),
        after_preface("SETTINGS on a stream", Ends, frame(SETTINGS, 0, 1, &[])),
        after_preface("a window above 2^31 - 1", Ends, settings(&[(4, largest_window + 1)])),
        after_preface("frames of at most 1 byte", Ends, settings(&[(5, 1)])),
        after_preface("push neither on nor off", Ends, settings(&[(2, 2)])),
        after_preface("an unknown setting", Answers, [settings(&[(0x77, 1)]), ended_call.clone()].concat()),
        after_preface("an unknown frame", Answers, [frame(0xee, 0xff, 0, &[1; 99]), ended_call.clone()].concat()),
        after_call("an unknown frame within a call", Answers, {
            [frame(0xee, 0xff, 1, &[1; 99]), grpc_data(1, END_STREAM, &[])].concat()
        }),
        after_call("DATA above the largest frame", Ends, frame(DATA, 0, 1, &[0; 16_385])),
        after_preface("HEADERS above the largest frame", Ends, frame(HEADERS, END_HEADERS, 1, &[0; 16_385])),
        after_preface("HEADERS on stream 0", Ends, frame(HEADERS, END_HEADERS, 0, &grpc_block("/", None))),
        after_preface("HEADERS on an even stream", Ends, frame(HEADERS, END_HEADERS, 2, &grpc_block("/", None))),
        after_preface("a lower stream after a higher", Ends, {
            [grpc_headers(5, methods::VERIFY, None), grpc_headers(3, methods::VERIFY, None)].concat()
        }),
        after_preface("DATA on stream 0", Ends, frame(DATA, 0, 0, &[0; 8])),
        after_preface("DATA on an idle stream", Ends, frame(DATA, 0, 1, &[0; 8])),
        after_preface("DATA after the end", AnswersOrEnds, [ended_call, frame(DATA, 0, 1, &[0; 8])].concat()),
        after_call("DATA with more padding than bytes", Ends, frame(DATA, 8, 1, &[200, 1, 2])),
        after_call("DATA beyond the window", AnswersOrEnds, frame(DATA, 0, 1, &[0; 16_384]).repeat(300)),
        after_preface("a window of 0 more", Ends, window_update(0, 0)),
        after_preface("a window that overflows", Ends, window_update(0, largest_window).repeat(2)),
        after_call("a window of a stream of 0 more", AnswersOrEnds, window_update(1, 0)),
        after_call("a window of a stream that overflows", AnswersOrEnds, window_update(1, largest_window).repeat(2)),
        after_preface("WINDOW_UPDATE of 3 bytes", Ends, frame(WINDOW_UPDATE, 0, 0, &[0; 3])),
        after_preface("WINDOW_UPDATE on an idle stream", Ends, window_update(1, 1)),
        after_preface("PING of 7 bytes", Ends, frame(PING, 0, 0, &[0; 7])),
        after_preface("PING on a stream", Ends, frame(PING, 0, 1, &[0; 8])),
        after_preface("RST_STREAM on an idle stream", Ends, frames::reset(1)),
        after_preface("RST_STREAM on stream 0", Ends, frames::reset(0)),
        after_call("RST_STREAM of 3 bytes", Ends, frame(RST_STREAM, 0, 1, &[0; 3])),
        after_preface("GOAWAY on a stream", Ends, frame(GOAWAY, 0, 1, &[0; 8])),
        after_preface("PRIORITY of 4 bytes", AnswersOrEnds, frame(PRIORITY, 0, 1, &[0; 4])),
        after_preface("PRIORITY on stream 0", Ends, frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 1])),
        after_call("a promise of a client", Ends, frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
    ]
}

fn wrong_heads() -> Vec<Case> {
    use Expected::{AnswersOrEnds, Ends};
    let head = |headers: &[(&str, &str)]| frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(headers));
    let [method, scheme, path, authority] =
        [(":method", "POST"), (":scheme", "http"), (":path", methods::VERIFY), (":authority", "localhost")];
    let content = ("content-type", "application/grpc");
    let large = "x".repeat(16_000);
    let large_head = {
        let mut frames = frame(HEADERS, END_STREAM, 1, &grpc_block(methods::VERIFY, None));
        let more = frame(CONTINUATION, 0, 1, &block(&[("x-large", &large)]));
        frames.extend(more.repeat(16));
        frames.extend(frame(CONTINUATION, END_HEADERS, 1, &[]));
        frames
    };
    vec![
        after_preface("CONTINUATION of nothing", Ends, frame(CONTINUATION, END_HEADERS, 1, &[])),
        after_preface("a head cut by PING", Ends, {
            [frame(HEADERS, 0, 1, &grpc_block(methods::VERIFY, None)), frames::ping(1)].concat()
        }),
        after_preface("a head cut by another stream", Ends, {
            let head = frame(HEADERS, 0, 1, &grpc_block(methods::VERIFY, None));
            [head, frame(CONTINUATION, END_HEADERS, 3, &[])].concat()
        }),
        after_preface("an index of HPACK that is none", Ends, frame(HEADERS, END_HEADERS, 1, &[0xff, 0xff, 0x7f])),
        after_preface("a table of HPACK that is too large", Ends, {
            frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xff, 0xff, 0xff, 0x07])
        }),
        after_preface("a cut text of HPACK", Ends, frame(HEADERS, END_HEADERS, 1, &[0, 100, b'x'])),
        after_preface("more padding than head", Ends, frame(HEADERS, END_HEADERS | 8, 1, &[200, 0, 0])),
        after_preface("256 KB of head", AnswersOrEnds, large_head),
        after_preface("no path", AnswersOrEnds, head(&[method, scheme, authority, content])),
        after_preface("an empty path", AnswersOrEnds, head(&[method, scheme, (":path", ""), authority])),
        after_preface("no method", AnswersOrEnds, head(&[scheme, path, authority, content])),
        after_preface("two methods", AnswersOrEnds, head(&[method, method, scheme, path, authority])),
        after_preface("two paths", AnswersOrEnds, head(&[method, scheme, path, path, authority])),
        after_preface("an unknown pseudo-header", AnswersOrEnds, head(&[method, scheme, path, (":x", "y")])),
        after_preface("a pseudo-header of answers", AnswersOrEnds, head(&[method, scheme, path, (":status", "200")])),
        after_preface("a pseudo-header after others", AnswersOrEnds, head(&[method, scheme, content, path])),
        after_preface("capitals", AnswersOrEnds, head(&[method, scheme, path, ("Content-Type", "application/grpc")])),
        after_preface("keep-alive", AnswersOrEnds, head(&[method, scheme, path, ("connection", "keep-alive")])),
        after_preface("te that is not trailers", AnswersOrEnds, head(&[method, scheme, path, ("te", "gzip")])),
        after_preface("another length than the body's", AnswersOrEnds, {
            let head = [method, scheme, path, authority, content, ("content-length", "99")];
            [frame(HEADERS, END_HEADERS, 1, &block(&head)), grpc_data(1, END_STREAM, &[])].concat()
        }),
    ]
}

fn wrong_calls() -> Vec<Case> {
    use Expected::{Answers, AnswersOrEnds};
    let call =
        |headers: &[(&str, &str)], body: Vec<u8>| [frame(HEADERS, END_HEADERS, 1, &block(headers)), body].concat();
    let [method, scheme, path] = [(":method", "POST"), (":scheme", "http"), (":path", methods::VERIFY)];
    let (authority, content) = ((":authority", "localhost"), ("content-type", "application/grpc"));
    let end = || grpc_data(1, END_STREAM, &[]);
    let with = |header| call(&[method, scheme, path, authority, content, header], end());
    let root_key = ("authorization", "Bearer root_x");
    let unary = |body: Vec<u8>| [grpc_headers(1, methods::VERIFY, Some("root_x")), body].concat();
    vec![
        after_preface("GET", Answers, call(&[(":method", "GET"), scheme, path, authority, content], end())),
        after_preface(
            "no such method",
            Answers,
            call(&[method, scheme, (":path", "/a.B/C"), authority, content], end()),
        ),
        after_preface(
            "a path of one part",
            Answers,
            call(&[method, scheme, (":path", "/x"), authority, content], end()),
        ),
        after_preface("no content type", Answers, call(&[method, scheme, path, authority], end())),
        after_preface("another content type", Answers, {
            call(&[method, scheme, path, authority, ("content-type", "text/plain")], end())
        }),
        after_preface("two content types", Answers, with(content)),
        after_preface(
            "two bearers",
            Answers,
            call(&[method, scheme, path, authority, content, root_key, root_key], end()),
        ),
        after_preface("a timeout that is none", Answers, with(("grpc-timeout", "soon"))),
        after_preface("a timeout that overflows", Answers, with(("grpc-timeout", "99999999999999999999H"))),
        after_preface("an unknown encoding", Answers, with(("grpc-encoding", "rot13"))),
        after_preface("binary metadata that is none", Answers, with(("x-bin", "!!!"))),
        after_preface("no message", Answers, unary(frame(DATA, END_STREAM, 1, &[]))),
        after_preface("half a prefix", Answers, unary(frame(DATA, END_STREAM, 1, &[0, 0]))),
        after_preface("a cut message", Answers, unary(frame(DATA, END_STREAM, 1, &[0, 0, 0, 0, 9, 1]))),
        after_preface("two messages", Answers, unary([grpc_data(1, 0, &[]), grpc_data(1, END_STREAM, &[])].concat())),
        after_preface("a message of 4 GiB", Answers, unary(frame(DATA, END_STREAM, 1, &[0, 255, 255, 255, 255, 1]))),
        after_preface("compressed without an encoding", Answers, unary(frame(DATA, END_STREAM, 1, &[1, 0, 0, 0, 0]))),
        after_preface("a flag that is none", Answers, unary(frame(DATA, END_STREAM, 1, &[77, 0, 0, 0, 0]))),
        after_preface("no protobuf", Answers, unary(grpc_data(1, END_STREAM, &[0xff; 32]))),
        after_preface("trailers of a client", AnswersOrEnds, {
            let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x", "y")]));
            unary([grpc_data(1, 0, &[]), trailers].concat())
        }),
        after_preface("pseudo-headers in trailers", AnswersOrEnds, {
            let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(":path", "/")]));
            unary([grpc_data(1, 0, &[]), trailers].concat())
        }),
    ]
}
