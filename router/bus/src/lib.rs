//! patchbay-bus
