//! The API from outside: over a real store, a real bus and a running router.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers fail as a test does: at once"
)]

mod call;
mod channels;
mod conversations;
mod dead;
mod described;
mod fleet;
mod house;
mod live;
mod mistakes;
mod moves;
mod presence;
mod replies;
mod roles;
mod team;
mod ticket_acts;
mod ticket_work;
mod tickets;
mod uploads;
mod valve;
