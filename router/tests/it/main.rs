//! The router from outside: decisions by fixtures, and the running router on the embedded bus and
//! SQLite.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers fail as a test does: at once"
)]

mod assigning;
mod decisions;
mod flaky;
mod house;
mod leases;
mod moody;
mod queue;
mod relaying;
mod reports;
mod routing;
mod silences;
mod tickets;
