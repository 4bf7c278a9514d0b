//! The platform's refusals. HTTP status is 200 for all of them; the body says what happened.

use serde_json::{Value, json};

/// A refusal: `errcode`, and a sentence for whoever reads a failed test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The platform's number.
    pub errcode: i64,
    /// What was wrong.
    pub errmsg: String,
}

/// Busy: the one that says to try again.
pub(super) const BUSY: i64 = -1;
/// The token was replaced by a newer one, or is of the other family's wrong account.
pub(super) const BAD_CREDENTIAL: i64 = 40_001;
pub(super) const BAD_GRANT: i64 = 40_002;
pub(super) const BAD_OPENID: i64 = 40_003;
pub(super) const BAD_MEDIA_TYPE: i64 = 40_004;
pub(super) const BAD_FILE_TYPE: i64 = 40_005;
pub(super) const EMPTY_FILE: i64 = 40_006;
pub(super) const BAD_MEDIA_ID: i64 = 40_007;
pub(super) const BAD_MESSAGE_TYPE: i64 = 40_008;
pub(super) const BAD_APPID: i64 = 40_013;
/// Nobody was ever given this token.
pub(super) const BAD_TOKEN: i64 = 40_014;
pub(super) const BAD_TEMPLATE: i64 = 40_037;
/// A parameter is missing or has a value that is not allowed.
pub(super) const BAD_PARAMETER: i64 = 40_097;
pub(super) const BAD_SECRET: i64 = 40_125;
pub(super) const NO_TOKEN: i64 = 41_001;
pub(super) const NO_MEDIA: i64 = 41_005;
pub(super) const NO_MEDIA_ID: i64 = 41_006;
pub(super) const EXPIRED_TOKEN: i64 = 42_001;
pub(super) const WANTS_POST: i64 = 43_002;
pub(super) const NOT_FOLLOWED: i64 = 43_004;
pub(super) const BLOCKED: i64 = 43_019;
pub(super) const USER_REFUSED: i64 = 43_101;
pub(super) const EMPTY_BODY: i64 = 44_002;
pub(super) const EMPTY_TEXT: i64 = 44_004;
pub(super) const FILE_TOO_LARGE: i64 = 45_001;
pub(super) const TOO_LONG: i64 = 45_002;
pub(super) const TOO_MANY_ARTICLES: i64 = 45_008;
/// The day's quota of calls, or of forced refreshes, is used up.
pub(super) const DAY_QUOTA: i64 = 45_009;
/// Too many calls in a minute.
pub(super) const TOO_FAST: i64 = 45_011;
/// The user said nothing for too long, or left.
pub(super) const WINDOW_CLOSED: i64 = 45_015;
/// More messages than the user's last sign of life allows.
pub(super) const USER_QUOTA: i64 = 45_047;
pub(super) const BAD_COMMAND: i64 = 45_072;
pub(super) const NOT_TALKING: i64 = 45_080;
pub(super) const TYPING_ALREADY: i64 = 45_081;
pub(super) const BAD_JSON: i64 = 47_001;
pub(super) const BAD_TEMPLATE_DATA: i64 = 47_003;
pub(super) const NO_SUCH_CALL: i64 = 404_000;

impl Refused {
    pub(super) fn new(errcode: i64, errmsg: impl Into<String>) -> Self {
        Self {
            errcode,
            errmsg: errmsg.into(),
        }
    }

    pub(super) fn body(&self) -> Value {
        json!({ "errcode": self.errcode, "errmsg": self.errmsg })
    }
}
