//! patchbay-router
