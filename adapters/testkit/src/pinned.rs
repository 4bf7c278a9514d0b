//! Surroundings that are the same in every run.

use std::{cell::RefCell, collections::BTreeMap, sync::Mutex};

use patchbay_message::Time;
use patchbay_sdk::{Cx, Random, Secret, Slot, TokenName};

/// Bytes that look random and are the same for the same seed (splitmix64).
#[derive(Debug)]
pub(crate) struct Seeded(Mutex<u64>);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().expect("nobody panics with it");
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// What an adapter may know of its surroundings.
pub(crate) struct Surroundings {
    pub(crate) now: Time,
    pub(crate) random: Seeded,
    pub(crate) public_url: String,
    pub(crate) channel: String,
    pub(crate) tokens: BTreeMap<String, String>,
    /// Tokens the adapter has said it needs.
    pub(crate) fetched: RefCell<Vec<TokenName>>,
    /// The answer that is held back since the last step that came in.
    pub(crate) slot: RefCell<Option<Slot>>,
}

impl Surroundings {
    pub(crate) fn lend<T>(&self, act: impl FnOnce(&Cx<'_>) -> T) -> T {
        let token = |name: TokenName| {
            let is_fetched = self.fetched.borrow().contains(&name);
            let token = is_fetched.then(|| self.tokens.get(name)).flatten()?;
            Some(Secret::new(token.clone()))
        };
        act(&Cx {
            now: self.now,
            random: &self.random,
            public_url: &self.public_url,
            channel: &self.channel,
            peer: None,
            token: &token,
        })
    }
}
