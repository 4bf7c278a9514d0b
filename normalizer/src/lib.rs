//! patchbay-normalizer
