//! The messages of `proto/`, generated.

/// `google.rpc`.
pub mod google {
    /// Statuses of single entries.
    pub mod rpc {
        include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
    }
}

/// `portcullis.v1`.
pub mod portcullis {
    /// The only version.
    pub mod v1 {
        #![allow(clippy::pedantic, clippy::large_enum_variant, dead_code, reason = "generated")]
        include!(concat!(env!("OUT_DIR"), "/portcullis.v1.rs"));
    }
}

pub use portcullis::v1::*;
