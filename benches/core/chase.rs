//! Reads of which each says where the next one is, all over more memory than any cache has.

/// 256 MiB.
const LINES: usize = 1 << 22;

/// A line of the cache: two numbers never share one.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line {
    next: usize,
}

/// One round through all lines, in no order.
pub struct Chase {
    lines: Vec<Line>,
    at: usize,
}

impl Chase {
    pub fn new() -> Self {
        let mut lines: Vec<Line> = (0..LINES).map(|next| Line { next }).collect();
        // Sattolo's shuffle: what comes out is one cycle, which no cache can hold a short part of.
        for last in (1..LINES).rev() {
            let other = usize::try_from(crate::keys::mixed(last as u64) % last as u64).expect("it is less than LINES");
            let next = lines[last].next;
            lines[last].next = lines[other].next;
            lines[other].next = next;
        }
        Self { lines, at: 0 }
    }

    /// The next read.
    pub fn step(&mut self) -> usize {
        self.at = self.lines[self.at].next;
        self.at
    }
}
