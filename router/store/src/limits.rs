//! Bounds on what one call reads.

/// Rows one call answers with, at most, whatever is asked for.
pub const ROWS_MAX: u32 = 1000;
/// Conversations whose snooze has ended, loaded at once.
pub const WOKEN_MAX: u32 = 256;
/// Flapping tickets that have been quiet long enough, loaded at once.
pub const SETTLED_MAX: u32 = 256;
/// Devices that have been silent for too long, loaded at once.
pub const SILENT_MAX: u32 = 256;
/// Answers that are overdue, loaded at once.
pub const OVERDUE_MAX: u32 = 256;
/// Conversations an agent may have at once, if nobody says otherwise.
pub const CAPACITY_DEFAULT: u32 = 5;
/// Conversations an agent may have at once, at most.
pub const CAPACITY_MAX: u32 = 1000;
