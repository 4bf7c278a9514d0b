//! The agents' API: REST, live events, OpenAPI. See docs/api.md.

pub mod media;
mod problem;

pub use problem::Problem;
