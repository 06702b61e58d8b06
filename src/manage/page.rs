//! Page tokens: where the next page begins, signed together with the query it belongs to.
//!
//! The signature is not for secrecy: a token shows nothing that the page did not. It makes sure that a token is used
//! with the query it came from, and that nobody starts from a place that no page ended at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Violations;
use crate::clock::Timestamp;

/// Keys or events of a page if the caller does not say.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Most keys or events of a page.
pub const PAGE_SIZE_MAX: usize = 1_000;
/// About how many bytes a page holds in memory at the most, one item apart. It is fewer on the wire, and must fit the
/// 4 MiB that gRPC clients take unasked.
pub const PAGE_WEIGHT_MAX: usize = 1024 * 1024;
/// How many bytes a list takes at the most while its page is made and encoded: twice the weight of the page, over SQLite 2 MiB
/// of page cache and 1.2 MiB of rows ahead, and as much again of slack in the allocator and of claims that weigh more as
/// messages.
pub const PAGE_MEMORY_MAX: usize = 8 * 1024 * 1024;
/// Bytes of the signature that are kept: 128 bits.
const SIGNATURE_LEN: usize = 16;

/// Makes and reads page tokens. Every process of an installation has the same key.
pub struct PageTokens {
    key: [u8; 32],
}

/// The last item of a page: the next page begins behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its time; 0 where items are not in order of time.
    pub at: Timestamp,
    /// Its id.
    pub id: String,
}

impl PageTokens {
    /// Tokens signed with `key`.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A token for the page of `query` behind `cursor`.
    pub fn write(&self, query: &impl serde::Serialize, cursor: &Cursor) -> String {
        let mut bytes = cursor.at.as_micros().to_be_bytes().to_vec();
        bytes.extend_from_slice(cursor.id.as_bytes());
        let signature = self.mac(query, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature[..SIGNATURE_LEN]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where the page begins that `token` stands for: `None` for the first one. Notes a token that is not one of
    /// `query`.
    pub fn read(&self, query: &impl serde::Serialize, token: &str, bad: &mut Violations) -> Option<Cursor> {
        if token.is_empty() {
            return None;
        }
        let cursor = self.parse(query, token);
        if cursor.is_none() {
            bad.must("page_token", token, Err("be the next_page_token of an answer to this same query"));
        }
        cursor
    }

    fn parse(&self, query: &impl serde::Serialize, token: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (signed, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_LEN)?)?;
        self.mac(query, signed).verify_truncated_left(signature).ok()?;
        let (at, id) = signed.split_first_chunk::<8>()?;
        let id = std::str::from_utf8(id).ok()?.to_owned();
        Some(Cursor { at: Timestamp::from_micros(i64::from_be_bytes(*at)), id })
    }

    fn mac(&self, query: &impl serde::Serialize, signed: &[u8]) -> Hmac<Sha256> {
        let query = serde_json::to_vec(query).expect("queries are plain data");
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(&query.len().to_be_bytes());
        mac.update(&query);
        mac.update(signed);
        mac
    }
}

/// How many items to answer: the default for 0, the maximum for more than that; negative is bad.
pub fn check_size(asked: i32, bad: &mut Violations) -> usize {
    match usize::try_from(asked) {
        Ok(0) => PAGE_SIZE_DEFAULT,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => {
            bad.add("page_size", format!("must not be negative; is {asked}"));
            PAGE_SIZE_DEFAULT
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_query_only() {
        let tokens = PageTokens::new([7; 32]);
        let cursor = Cursor { at: Timestamp::from_micros(-5), id: "key_ä".into() };
        let token = tokens.write(&("keys", "default"), &cursor);
        let read = |tokens: &PageTokens, query: (&str, &str), token: &str| {
            let mut bad = Violations::default();
            let cursor = tokens.read(&query, token, &mut bad);
            (cursor, bad.check().is_err())
        };
        assert_eq!(read(&tokens, ("keys", "default"), &token), (Some(cursor), false));
        assert_eq!(read(&tokens, ("keys", "default"), ""), (None, false));
        assert_eq!(read(&tokens, ("keys", "other"), &token), (None, true));
        assert_eq!(read(&PageTokens::new([8; 32]), ("keys", "default"), &token), (None, true));
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(read(&tokens, ("keys", "default"), &other), (None, true), "byte {at}");
        }
        assert_eq!(read(&tokens, ("keys", "default"), "AAAA"), (None, true));
        assert_eq!(read(&tokens, ("keys", "default"), "ä"), (None, true));
    }
}
