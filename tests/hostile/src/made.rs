//! Made-up secrets in every form that the server tells apart by looking, so that it has to look further.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKSUM_LEN: usize = 6;
/// Lookup and secret.
const BODY_LEN: usize = 48;

/// A key of ours that nobody issued, with the right checksum.
pub fn key(prefix: &str) -> String {
    let signed = format!("{prefix}_{}", text(BODY_LEN));
    let mut checksum = crc32fast::hash(signed.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[checksum as usize % ALPHABET.len()];
        checksum /= 62;
    }
    signed + std::str::from_utf8(&digits).expect("it is ASCII")
}

/// Letters and digits by chance.
pub fn text(len: usize) -> String {
    (0..len).map(|_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())])).collect()
}
