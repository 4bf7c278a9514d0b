//! MQTT in and out of a gateway: its own listener and real brokers, against an embedded bus and store.
#![expect(clippy::unwrap_used, reason = "helpers of a test binary")]

mod broker;
mod bus;
mod device;
mod down;
mod hostile;
mod listener;
mod mosquitto;
mod takeover;
mod world;
