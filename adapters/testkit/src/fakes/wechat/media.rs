//! Temporary files: checked when they come, gone after three days.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::errcode::{
    BAD_FILE_TYPE, BAD_MEDIA_ID, BAD_MEDIA_TYPE, EMPTY_FILE, FILE_TOO_LARGE, Refused,
};

/// How long a file is kept.
pub const MEDIA_LIFE_MS: i64 = 3 * 86_400_000;

/// What a file is, as `type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// PNG, JPEG or GIF, at most 10 MiB.
    Image,
    /// AMR or MP3, at most 2 MiB.
    Voice,
    /// MP4, at most 10 MiB.
    Video,
    /// JPEG, at most 64 KiB.
    Thumb,
}

impl Media {
    pub(super) fn named(name: &str) -> Result<Self, Refused> {
        match name {
            "image" => Ok(Self::Image),
            "voice" => Ok(Self::Voice),
            "video" => Ok(Self::Video),
            "thumb" => Ok(Self::Thumb),
            _ => Err(Refused::new(
                BAD_MEDIA_TYPE,
                format!("invalid media type {name}"),
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Voice => "voice",
            Self::Video => "video",
            Self::Thumb => "thumb",
        }
    }

    fn bytes_max(self) -> usize {
        match self {
            Self::Image | Self::Video => 10 << 20,
            Self::Voice => 2 << 20,
            Self::Thumb => 64 << 10,
        }
    }

    /// What its first bytes say it is; nothing if that is not of this kind.
    fn content_type(self, bytes: &[u8]) -> Option<&'static str> {
        let jpeg = bytes.starts_with(b"\xff\xd8\xff").then_some("image/jpeg");
        match self {
            Self::Thumb => jpeg,
            Self::Image if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => Some("image/png"),
            Self::Image if bytes.starts_with(b"GIF8") => Some("image/gif"),
            Self::Image => jpeg,
            Self::Voice if bytes.starts_with(b"#!AMR") => Some("audio/amr"),
            Self::Voice => {
                let mp3 = bytes.starts_with(b"ID3")
                    || matches!(bytes, [0xff, second, ..] if second & 0xe0 == 0xe0);
                mp3.then_some("audio/mpeg")
            }
            Self::Video => (bytes.get(4..8) == Some(b"ftyp".as_slice())).then_some("video/mp4"),
        }
    }
}

/// A file that was taken.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) media: Media,
    pub(super) bytes: Vec<u8>,
    pub(super) content_type: &'static str,
    created_ms: i64,
}

/// The files of one account.
#[derive(Default)]
pub(super) struct Files {
    by_id: BTreeMap<String, File>,
}

impl Files {
    /// Takes a file; answers its id.
    pub(super) fn take(
        &mut self,
        media: Media,
        bytes: Vec<u8>,
        now_ms: i64,
    ) -> Result<String, Refused> {
        if bytes.is_empty() {
            return Err(Refused::new(EMPTY_FILE, "invalid media size"));
        }
        if bytes.len() > media.bytes_max() {
            return Err(Refused::new(
                FILE_TOO_LARGE,
                format!("media size out of limit: {}", bytes.len()),
            ));
        }
        let content_type = media.content_type(&bytes);
        let content_type = content_type.ok_or_else(|| {
            Refused::new(
                BAD_FILE_TYPE,
                format!("invalid file type: no {}", media.name()),
            )
        })?;
        let id: String = (0..64).map(|_| fastrand::alphanumeric()).collect();
        self.by_id.insert(
            id.clone(),
            File {
                media,
                bytes,
                content_type,
                created_ms: now_ms,
            },
        );
        Ok(id)
    }

    /// A file that is still kept.
    pub(super) fn get(&self, id: &str, now_ms: i64) -> Result<&File, Refused> {
        let file = self.by_id.get(id);
        let file = file.filter(|file| now_ms - file.created_ms < MEDIA_LIFE_MS);
        file.ok_or_else(|| Refused::new(BAD_MEDIA_ID, "invalid media_id"))
    }

    /// Whether a message may use this file as one of these.
    pub(super) fn usable(&self, id: &str, allowed: &[Media], now_ms: i64) -> Result<(), Refused> {
        let file = self.get(id, now_ms)?;
        if allowed.contains(&file.media) {
            return Ok(());
        }
        Err(Refused::new(
            BAD_MEDIA_ID,
            format!("invalid media_id: it is of type {}", file.media.name()),
        ))
    }

    /// What uploading answers.
    pub(super) fn receipt(media: Media, id: &str, now_ms: i64) -> Value {
        // Only of thumbs the key has another name.
        let key = if media == Media::Thumb {
            "thumb_media_id"
        } else {
            "media_id"
        };
        json!({ "type": media.name(), key: id, "created_at": now_ms / 1000 })
    }
}
