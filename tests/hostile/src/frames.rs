//! HTTP/2 frames written by hand: no library sends what an attacker does.

/// What every connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const HEAD_LEN: usize = 9;
/// The largest frame that every server takes.
pub const FRAME_LEN_MAX: usize = 16_384;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

pub const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;

/// Any frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("no frame is that large").to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in settings {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub fn ping(payload: u64) -> Vec<u8> {
    frame(PING, 0, 0, &payload.to_be_bytes())
}

pub fn reset(stream: u32) -> Vec<u8> {
    // CANCEL
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// A head of literals that are not to be remembered: HPACK at its plainest.
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A length with a prefix of seven bits.
fn length(block: &mut Vec<u8>, len: usize) {
    let Ok(short @ ..127) = u8::try_from(len) else {
        block.push(127);
        let mut rest = len - 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).expect("it is less than 128") | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).expect("it is less than 128"));
        return;
    };
    block.push(short);
}

/// The head of a gRPC call without a credential, or with one.
pub fn grpc_block(path: &str, root_key: Option<&str>) -> Vec<u8> {
    let bearer = root_key.map(|root_key| format!("Bearer {root_key}"));
    let mut headers = vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    block(&headers)
}

/// Opens a gRPC call.
pub fn grpc_headers(stream: u32, path: &str, root_key: Option<&str>) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &grpc_block(path, root_key))
}

/// A gRPC message in a DATA frame.
pub fn grpc_data(stream: u32, flags: u8, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![0];
    payload.extend(u32::try_from(message.len()).expect("no message is that large").to_be_bytes());
    payload.extend(message);
    frame(DATA, flags, stream, &payload)
}
