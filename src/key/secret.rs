//! Strings that must not be seen. They cannot be printed, compared carelessly or copied by accident, and are wiped
//! from memory when dropped.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret in memory: a key string as issued or presented, or a part of one.
///
/// It has no `Display` and no `Clone`; `Debug` prints `[redacted]`.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` in. The caller should keep no copy.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself: to hash it, or to hand it to its owner. Never log what this returns.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A digest of `N` bytes, those of SHA-256 unless it says otherwise, compared in constant time.
///
/// The comparison does not tell *where* two digests differ. That they differ is the answer itself, and shows.
#[derive(Clone, Copy, Eq)]
pub struct Digest<const N: usize = 32>([u8; N]);

impl<const N: usize> Digest<N> {
    /// The digest with these bytes.
    pub const fn from_bytes(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be stored.
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> PartialEq for Digest<N> {
    fn eq(&self, other: &Self) -> bool {
        // Word by word: byte by byte it takes as long as making the digest did.
        let (ours, our_rest) = self.0.as_chunks::<8>();
        let (theirs, their_rest) = other.0.as_chunks::<8>();
        let words = ours.iter().zip(theirs);
        let same = words.fold(our_rest.ct_eq(their_rest), |same, (our, their)| {
            same & u64::from_ne_bytes(*our).ct_eq(&u64::from_ne_bytes(*their))
        });
        same.into()
    }
}

/// A digest opens nothing, but an offline guess at a weak secret starts from one.
impl<const N: usize> fmt::Debug for Digest<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
