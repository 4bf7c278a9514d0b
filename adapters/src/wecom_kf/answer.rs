//! Error codes of WeCom's customer service, beside those of all its APIs.
//!
//! <https://developer.work.weixin.qq.com/document/path/90313>

use patchbay_sdk::SendError;

use crate::{wechat::answer::WORDS_CHARS_MAX, wecom};

/// What is to be done about an `errcode`.
pub(super) fn error(code: i64, words: &str) -> SendError {
    let short: String = words.chars().take(WORDS_CHARS_MAX).collect();
    let sentence = format!("{code} {short}");
    match code {
        // As often as is allowed after a customer's message.
        95001 => SendError::QuotaUsed,
        // Too late after it; the talk has ended; somebody else has it.
        95002 | 95013 | 95018 => SendError::WindowClosed,
        // No such customer, or none of this enterprise.
        40096 | 84061 => SendError::Gone(sentence),
        // No such account; the API is not the one that serves it; no right to it.
        95000 | 95004 | 95011 | 95012 | 95014 | 95017 => SendError::Account(sentence),
        _ => wecom::error(code, words),
    }
}

/// The doorbell's token is not this account's, or too old: pulling goes without it.
pub(super) const BAD_HINT: i64 = 95007;

/// Whether a message was refused for its id: the one before it arrived. WeCom documents that it
/// refuses it and gives no code for it, so that its words have to do.
pub(super) fn is_repeat(error: &SendError) -> bool {
    matches!(error, SendError::Payload(sentence) if {
        let words = sentence.to_ascii_lowercase();
        words.contains("msgid") && ["dup", "repeat", "exist"].iter().any(|word| words.contains(word))
    })
}
