//! Where the key is in a request.

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::refusal::{Reason, Refusal};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const SCHEME: &[u8] = b"bearer";
const KEY_LENGTH_MAX: usize = 512;

/// The one key in the headers, if it is a string that a key can be.
pub fn read(headers: &HeaderMap) -> Result<&str, Refusal> {
    let bearer = only(headers, &AUTHORIZATION)?.and_then(of_bearer);
    let plain = only(headers, &X_API_KEY)?.filter(|key| !key.is_empty());
    let key = match (bearer, plain) {
        (Some(key), None) | (None, Some(key)) => key,
        (Some(_), Some(_)) => return Err(Refusal::new(Reason::AmbiguousKey)),
        (None, None) => return Err(Refusal::new(Reason::MissingKey)),
    };
    let is_graphic = key.len() <= KEY_LENGTH_MAX && key.iter().all(u8::is_ascii_graphic);
    let key = if is_graphic { str::from_utf8(key).ok() } else { None };
    key.ok_or_else(|| Refusal::new(Reason::InvalidKey))
}

/// The value of a header that may have one at most, in however many lines.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
    let lines = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let mut values = lines.flat_map(|line| line.split(|&byte| byte == b',')).map(trimmed);
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::new(Reason::AmbiguousKey));
    }
    Ok(first)
}

fn trimmed(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// What stands behind `Bearer`; other schemes are somebody else's.
fn of_bearer(value: &[u8]) -> Option<&[u8]> {
    let space = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = value.split_at(space);
    let key = rest.iter().position(|&byte| byte != b' ').map(|start| &rest[start..])?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(lines: &[(&str, &str)]) -> Result<String, Reason> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        read(&headers).map(str::to_owned).map_err(|refusal| refusal.reason())
    }

    #[test]
    fn a_key_is_read_where_it_may_be() {
        for line in [
            ("authorization", "Bearer k"),
            ("authorization", "bEaReR    k"),
            ("authorization", " \tBearer k\t "),
            ("x-api-key", "k"),
            ("x-api-key", " k "),
        ] {
            assert_eq!(read_from(&[line]), Ok("k".to_owned()), "{line:?}");
        }
        assert_eq!(read_from(&[("authorization", "Basic a"), ("x-api-key", "k")]), Ok("k".to_owned()));
        assert_eq!(read_from(&[("authorization", "Bearer"), ("x-api-key", "k")]), Ok("k".to_owned()));
        assert_eq!(read_from(&[("authorization", "Bearer k"), ("x-api-key", "")]), Ok("k".to_owned()));
    }

    #[test]
    fn no_key_is_read_elsewhere() {
        assert_eq!(read_from(&[]), Err(Reason::MissingKey));
        for line in [
            ("authorization", ""),
            ("authorization", "Bearer"),
            ("authorization", "Bearer "),
            ("authorization", "Bearer\tk"),
            ("authorization", "Basic k"),
            ("authorization", "k"),
            ("x-api-key", " "),
            ("proxy-authorization", "Bearer k"),
            ("cookie", "x-api-key=k"),
        ] {
            assert_eq!(read_from(&[line]), Err(Reason::MissingKey), "{line:?}");
        }
    }

    #[test]
    fn more_than_one_value_is_ambiguous() {
        let (a, b) = (("authorization", "Bearer k"), ("x-api-key", "k"));
        for lines in [
            vec![a, a],
            vec![b, b],
            vec![a, b],
            vec![("authorization", "Basic a"), a],
            vec![("authorization", "Bearer k, Bearer l")],
            vec![("authorization", "Bearer k,")],
            vec![("x-api-key", "k,l")],
            vec![("authorization", "Basic a, Basic b"), b],
        ] {
            assert_eq!(read_from(&lines), Err(Reason::AmbiguousKey), "{lines:?}");
        }
    }

    #[test]
    fn what_no_key_can_be_is_invalid() {
        let longest = "x".repeat(512);
        assert_eq!(read_from(&[("x-api-key", &longest)]), Ok(longest));
        for value in ["x".repeat(513), "a b".to_owned(), "a\tb".to_owned(), "schlüssel".to_owned()] {
            assert_eq!(read_from(&[("x-api-key", &value)]), Err(Reason::InvalidKey), "{value:?}");
        }
    }
}
