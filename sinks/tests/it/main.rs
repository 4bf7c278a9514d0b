//! The sink worker over a real store and a real bus: SQLite and the embedded bus, as in `patchbay
//! up`; what several processes have to agree about over PostgreSQL too.

#[cfg(feature = "failpoints")]
mod crash;
mod guarded;
mod kept;
mod live;
mod media;
mod mqtt;
mod order;
mod provider;
mod ride;
mod stores;
mod tokens;
mod trouble;
mod windows;
mod world;
