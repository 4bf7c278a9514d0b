//! Live connections of this gateway: who is there, what is pushed to them, what they have seen.
//!
//! A push is a nudge, the store's history is the truth: whatever is lost here is found again when
//! the cursor is compared (at every heartbeat and long poll).

mod hub;
mod registrar;
mod slots;
mod watch;

pub use hub::{Hub, Push, RegisterError, Registration};
pub use registrar::Registrar;
pub use slots::{Entered, Hold, Slots, Telling};
pub use watch::watch;
