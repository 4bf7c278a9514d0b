//! patchbay-message
