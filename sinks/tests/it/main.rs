//! The sink worker over a real store and a real bus: SQLite and the embedded bus, as in `patchbay up`.

#[cfg(feature = "failpoints")]
mod crash;
mod live;
mod mqtt;
mod order;
mod provider;
mod trouble;
mod world;
