//! patchbay-config
