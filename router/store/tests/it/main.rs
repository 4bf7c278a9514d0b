//! What the store promises, over every backend.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod blobs;
