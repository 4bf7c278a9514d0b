//! Access tokens: two families that know nothing of each other.
//!
//! Of `token`, every call makes a new one and leaves the last one 5 minutes. Of `stable_token`, calls
//! answer the same one until 5 minutes before its end, when old and new are both good; a forced refresh
//! ends the old one at once, and does nothing within 30 s of the last one.
//! <https://developers.weixin.qq.com/minigame/dev/api-backend/open-api/access-token/auth.getStableAccessToken.html>

use super::errcode::{BAD_CREDENTIAL, DAY_QUOTA, EXPIRED_TOKEN, Refused};

/// Life of a token.
pub const TOKEN_LIFE_MS: i64 = 7_200_000;
/// How long old and new are both good.
pub const OVERLAP_MS: i64 = 300_000;
/// Least time between two forced refreshes.
pub const FORCE_GAP_MS: i64 = 30_000;
/// Forced refreshes in a day.
pub const FORCED_PER_DAY: usize = 20;
const DAY_MS: i64 = 86_400_000;
/// Length of a token: longer than what people who guess leave room for.
const LENGTH: usize = 236;

/// Which of the two ways a token came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `/cgi-bin/token`.
    Plain,
    /// `/cgi-bin/stable_token`.
    Stable,
}

/// The tokens of one account.
#[derive(Default)]
pub(super) struct Tokens {
    plain: Vec<Issued>,
    stable: Vec<Issued>,
    forced: Vec<i64>,
}

struct Issued {
    text: String,
    ends_ms: i64,
    /// A newer one ended it before its time.
    replaced: bool,
}

impl Tokens {
    /// A new token of the plain family: text and seconds to live.
    pub(super) fn plain(&mut self, now_ms: i64) -> (String, i64) {
        replace(&mut self.plain, now_ms, now_ms + OVERLAP_MS)
    }

    /// The token of the stable family.
    pub(super) fn stable(&mut self, now_ms: i64, force: bool) -> Result<(String, i64), Refused> {
        if force && self.may_force(now_ms)? {
            self.forced.push(now_ms);
            return Ok(replace(&mut self.stable, now_ms, now_ms));
        }
        match self.stable.last() {
            Some(last) if last.ends_ms - now_ms > OVERLAP_MS => {
                Ok((last.text.clone(), (last.ends_ms - now_ms) / 1000))
            }
            _ => Ok(replace(&mut self.stable, now_ms, now_ms + OVERLAP_MS)),
        }
    }

    fn may_force(&self, now_ms: i64) -> Result<bool, Refused> {
        let today = self
            .forced
            .iter()
            .filter(|at| now_ms - **at < DAY_MS)
            .count();
        if today >= FORCED_PER_DAY {
            return Err(Refused::new(
                DAY_QUOTA,
                "forced refreshes of the day are used up",
            ));
        }
        let last = self.forced.last();
        Ok(last.is_none_or(|at| now_ms - at >= FORCE_GAP_MS))
    }

    /// Whether a token is good now; nothing if this account never had it.
    pub(super) fn check(&self, text: &str, now_ms: i64) -> Option<Result<(), Refused>> {
        let mut all = self.plain.iter().chain(&self.stable);
        let issued = all.find(|issued| issued.text == text)?;
        Some(match issued {
            issued if now_ms < issued.ends_ms => Ok(()),
            issued if issued.replaced => Err(Refused::new(
                BAD_CREDENTIAL,
                "access_token is invalid or not latest",
            )),
            _ => Err(Refused::new(EXPIRED_TOKEN, "access_token expired")),
        })
    }

    /// Ends every token of the account now, as if their time were over.
    pub(super) fn expire(&mut self, now_ms: i64) {
        for issued in self.plain.iter_mut().chain(&mut self.stable) {
            issued.ends_ms = issued.ends_ms.min(now_ms);
        }
    }

    /// How many refreshes were forced, those that did nothing left out.
    pub(super) fn forced(&self) -> usize {
        self.forced.len()
    }

    /// How many tokens a family has been given.
    pub(super) fn issued(&self, family: Family) -> usize {
        match family {
            Family::Plain => self.plain.len(),
            Family::Stable => self.stable.len(),
        }
    }
}

/// A new token; the last one is good until `until_ms` at the latest.
fn replace(family: &mut Vec<Issued>, now_ms: i64, until_ms: i64) -> (String, i64) {
    if let Some(last) = family.last_mut()
        && last.ends_ms > until_ms
    {
        last.ends_ms = until_ms;
        last.replaced = true;
    }
    let text: String = (0..LENGTH).map(|_| fastrand::alphanumeric()).collect();
    family.push(Issued {
        text: text.clone(),
        ends_ms: now_ms + TOKEN_LIFE_MS,
        replaced: false,
    });
    (text, TOKEN_LIFE_MS / 1000)
}
