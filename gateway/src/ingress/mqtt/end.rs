//! How a device's connection ends.

use patchbay_mqtt::{ConnError, Malformed};

/// Why a connection ends.
pub(super) enum End {
    /// The device said goodbye: its will is void.
    Left,
    /// It broke.
    Broken,
    /// We close it.
    Closed {
        /// What an MQTT 5 device is told.
        reason: u8,
        /// For the metrics.
        word: &'static str,
        /// The device is to blame, or gone: its will counts.
        will: bool,
    },
}

impl End {
    /// We close it because of what the device did.
    pub(super) fn fault(reason: u8, word: &'static str) -> Self {
        Self::Closed {
            reason,
            word,
            will: true,
        }
    }

    /// We close it for reasons of our own.
    pub(super) fn ours(reason: u8, word: &'static str) -> Self {
        Self::Closed {
            reason,
            word,
            will: false,
        }
    }
}

impl From<Malformed> for End {
    fn from(error: Malformed) -> Self {
        let word = match error {
            Malformed::TooLarge { .. } => "too_large",
            _ => "malformed",
        };
        Self::fault(error.reason(), word)
    }
}

impl From<ConnError> for End {
    fn from(error: ConnError) -> Self {
        match error {
            ConnError::Malformed(error) => error.into(),
            ConnError::Closed | ConnError::Broken(_) => Self::Broken,
        }
    }
}
