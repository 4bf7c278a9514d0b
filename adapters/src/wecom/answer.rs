//! WeCom's error codes.
//!
//! <https://developer.work.weixin.qq.com/document/path/90313>

use std::time::Duration;

use patchbay_sdk::{Scope, SendError};

use crate::wechat::{ACCESS, answer::WORDS_CHARS_MAX};

/// Too many calls: WeCom counts by the minute and the hour, and does not say which it was.
const RATE_REST: Duration = Duration::from_secs(60);

/// What is to be done about an `errcode`.
pub(crate) fn error(code: i64, words: &str) -> SendError {
    let words: String = words.chars().take(WORDS_CHARS_MAX).collect();
    let sentence = format!("{code} {words}");
    match code {
        // Busy.
        -1 => SendError::Retry(None),
        40014 | 42001 => SendError::TokenExpired(ACCESS),
        // Too many calls, too many at once.
        45009 | 45033 => SendError::Throttled(Scope::Channel, RATE_REST),
        // None of the receivers is there; no such member.
        81013 | 60111 | 40003 => SendError::Gone(sentence),
        // CorpID, secret, agent, permission, our address not in the list.
        40001 | 40013 | 40056 | 41002 | 41004 | 41011 | 48002 | 50001 | 60011 | 60020 | 301_002 => {
            SendError::Account(sentence)
        }
        _ => SendError::Payload(sentence),
    }
}
