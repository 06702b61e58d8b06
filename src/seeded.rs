//! Faults that are put in to see that the tests would find them, and what stops a process between two of its steps.
//! Only the simulation's build has them (`--features seeded-faults`); in every other the compiler takes them out.

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

/// What lets the simulation stop a process: none of its tasks takes a step until it goes on.
#[cfg(feature = "seeded-faults")]
mod stop {
    use std::cell::RefCell;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, ready};

    /// What the tasks of a process pass before each step.
    pub trait Gate: Send + Sync {
        /// Ready while the process runs; otherwise the task is woken when it goes on.
        fn poll_open(&self, cx: &mut Context<'_>) -> Poll<()>;
    }

    /// A task of a process that can be stopped.
    pub struct Stoppable<F> {
        gate: Option<Arc<dyn Gate>>,
        task: Pin<Box<F>>,
    }

    thread_local! {
        /// Of the task that takes a step just now.
        static GATE: RefCell<Option<Arc<dyn Gate>>> = const { RefCell::new(None) };
    }

    /// The task of a process that `gate` stops. So are those that it begins.
    pub fn stoppable_by<F: Future>(gate: Arc<dyn Gate>, task: F) -> Stoppable<F> {
        Stoppable { gate: Some(gate), task: Box::pin(task) }
    }

    /// A task that stops when the one that begins it does.
    pub fn stoppable<F: Future>(task: F) -> Stoppable<F> {
        Stoppable { gate: GATE.with_borrow(Clone::clone), task: Box::pin(task) }
    }

    impl<F: Future> Future for Stoppable<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            if let Some(gate) = &self.gate {
                ready!(gate.poll_open(cx));
            }
            let before = GATE.replace(self.gate.clone());
            let polled = self.task.as_mut().poll(cx);
            GATE.set(before);
            polled
        }
    }
}

#[cfg(not(feature = "seeded-faults"))]
mod stop {
    /// The task as it is.
    #[inline]
    pub fn stoppable<F: Future>(task: F) -> F {
        task
    }
}

pub use stop::*;
pub use switch::*;
