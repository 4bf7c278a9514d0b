//! One conformance suite for both buses, and for each what only it has to survive.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod broker;
mod child;
mod conformance;
mod embedded;
mod ledger;
mod outages;
mod proxy;
mod rabbitmq;
mod support;
