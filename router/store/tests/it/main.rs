//! The store's tests: one conformance suite that every backend passes, and what each backend
//! promises beyond it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod blobs;
mod conformance;
mod postgres;
mod sqlite;
mod world;
