//! Faults that are put in to see that the tests would find them. Only the simulation's build has them
//! (`--features seeded-faults`); in every other the compiler takes them out.

/// A fault in how replicas agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// A look that showed only a part of the log extends the lease.
    TruncatedLookExtends = 1,
    /// The lease counts from when the answer came.
    LeaseFromReply,
    /// A change leaves the fill under way in place.
    UnpoisonedFill,
    /// A replica looks at the log before it is on the list.
    LateRegistration,
    /// A change that was made before is confirmed at once.
    RepeatAtOnce,
    /// Nobody waits for a replica that is dead.
    DeadSkippedAtOnce,
    /// A replica says that it has applied what it is going to apply.
    AckBeforeApply,
    /// The deadline is looked at after what is remembered.
    DeadlineLate,
    /// A hint extends the lease.
    HintTrusted,
    /// A look does not compare histories.
    ForkUnnoticed,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::TruncatedLookExtends,
        Self::LeaseFromReply,
        Self::UnpoisonedFill,
        Self::LateRegistration,
        Self::RepeatAtOnce,
        Self::DeadSkippedAtOnce,
        Self::AckBeforeApply,
        Self::DeadlineLate,
        Self::HintTrusted,
        Self::ForkUnnoticed,
    ];
}

#[cfg(feature = "seeded-faults")]
mod switch {
    use std::cell::Cell;

    use crate::seeded::Fault;

    thread_local! {
        static SEEDED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Puts a fault into whatever runs on this thread; `None`: takes it out.
    pub fn seed(fault: Option<Fault>) {
        SEEDED.set(fault);
    }

    /// Whether the fault is in.
    pub fn has(fault: Fault) -> bool {
        SEEDED.get() == Some(fault)
    }
}

#[cfg(not(feature = "seeded-faults"))]
mod switch {
    use crate::seeded::Fault;

    /// It is not.
    #[inline]
    pub const fn has(_: Fault) -> bool {
        false
    }
}

pub use switch::*;
