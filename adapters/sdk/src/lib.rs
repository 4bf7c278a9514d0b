//! patchbay-sdk
