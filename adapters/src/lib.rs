//! patchbay-adapters
