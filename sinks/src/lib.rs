//! patchbay-sinks
