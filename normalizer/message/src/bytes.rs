//! The envelope as bytes, and how reading it fails.

use crate::{
    Envelope, SCHEMA_VERSION,
    limits::{ENVELOPE_BYTES_MAX, Rule, Violation},
};

/// Why bytes are not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEnvelope {
    /// More than [`ENVELOPE_BYTES_MAX`]; not even looked at.
    #[error("{found} bytes are too much for an envelope, {ENVELOPE_BYTES_MAX} at most are allowed")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// Not JSON, or not of an envelope's shape.
    #[error("`{field}`: {sentence}")]
    Shape {
        /// Path of the field, as on the wire; `.` if no field is to blame.
        field: String,
        /// What is wrong with it.
        sentence: String,
    },
    /// Of a version this code does not read.
    #[error("schema version {found} is not known, this is version {SCHEMA_VERSION}")]
    Version {
        /// The version found.
        found: u16,
    },
}

impl Envelope {
    /// The envelope as JSON.
    ///
    /// # Errors
    /// [`Violation`] if it weighs more than [`ENVELOPE_BYTES_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Violation> {
        let bytes = serde_json::to_vec(self)
            .expect("an envelope is a tree with text keys, which JSON can always write");
        if bytes.len() > ENVELOPE_BYTES_MAX {
            let rule = Rule::TooLong {
                found: bytes.len(),
                max: ENVELOPE_BYTES_MAX,
            };
            return Err(Violation::new("envelope", rule));
        }
        Ok(bytes)
    }

    /// Reads an envelope. It is not checked any further, see [`Envelope::check`].
    ///
    /// # Errors
    /// [`BadEnvelope`] names the field.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, BadEnvelope> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(BadEnvelope::TooLarge { found: bytes.len() });
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(|_| shape(bytes))?;
        if envelope.schema == SCHEMA_VERSION {
            Ok(envelope)
        } else {
            Err(BadEnvelope::Version {
                found: envelope.schema,
            })
        }
    }
}

/// Reads again, slowly, to learn which field is to blame.
fn shape(bytes: &[u8]) -> BadEnvelope {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let outcome = serde_path_to_error::deserialize::<_, Envelope>(&mut json);
    let (field, sentence) = match outcome {
        Err(error) => (error.path().to_string(), error.inner().to_string()),
        Ok(_) => (".".to_owned(), "more follows after the envelope".to_owned()),
    };
    BadEnvelope::Shape { field, sentence }
}
