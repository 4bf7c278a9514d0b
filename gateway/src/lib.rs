//! patchbay-gateway
