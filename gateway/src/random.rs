//! The system's randomness, for adapters.

use patchbay_sdk::Random;

/// Random bytes of the operating system, by way of the thread's generator.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::Rng::fill_bytes(&mut rand::rng(), bytes);
    }
}
