use std::fmt;

use http::HeaderValue;

/// A root key of Portcullis. It is never shown, not even by `Debug`.
#[derive(Clone)]
pub struct RootKey(String);

impl RootKey {
    /// Nothing but blanks, or nothing at all.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// The value of `authorization`; `None` if a header cannot carry the key.
    pub(crate) fn bearer(&self) -> Option<HeaderValue> {
        let key = self.0.trim();
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut value = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl<T: Into<String>> From<T> for RootKey {
    fn from(key: T) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::RootKey;

    #[test]
    fn it_is_sent_and_not_shown() {
        let key = RootKey::from(" root_s3cret\n");
        let bearer = key.bearer().unwrap();
        assert_eq!(bearer, "Bearer root_s3cret");
        let shown = format!("{key:?} {bearer:?}");
        assert!(!shown.contains("root_s3cret"), "{shown}");
    }
}
