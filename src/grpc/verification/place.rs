//! Where in a message a request stands: for the paths of bad fields.

use std::fmt;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// It is the message.
    Message,
    /// It is one of a batch.
    Batch(usize),
    /// It is in a message of a stream.
    Stream,
}

/// What stands before the path of a field.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message => Ok(()),
            Self::Batch(nth) => write!(f, "requests[{nth}]."),
            Self::Stream => f.write_str("request."),
        }
    }
}
