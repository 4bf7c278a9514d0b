//! The schema of messages as its readers and writers meet it.

mod arbitrary;
mod bytes;
mod check;
mod ids;
mod roundtrip;
mod schema;
