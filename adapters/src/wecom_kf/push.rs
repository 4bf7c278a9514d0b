//! The doorbell, always sealed: it says that there is something for an account, never what.
//!
//! <https://developer.work.weixin.qq.com/document/path/94670>

use http::StatusCode;
use patchbay_sdk::{Ask, Cx, Decoded, HttpIn, Reject, Reply, Secret, sealed::SealKey, tree};

use super::Options;
use crate::wecom::{self, Gate};

/// Bytes of a doorbell's token that are kept.
const HINT_BYTES_MAX: usize = 512;

fn gate<'a>(options: &'a Options, keys: &'a [SealKey]) -> Gate<'a> {
    Gate {
        token: &options.token,
        keys,
        receiver: &options.corp_id,
        freshness: options.freshness.get(),
    }
}

/// Answers the check of our address by what is sealed in it.
pub(super) fn check_address(
    options: &Options,
    keys: &[SealKey],
    cx: &Cx<'_>,
    request: &HttpIn<'_>,
) -> Result<Decoded, Reject> {
    wecom::check_address(&gate(options, keys), cx, request)
}

/// Lets a doorbell in: asks to pull the account it rings for.
pub(super) fn decode(
    options: &Options,
    keys: &[SealKey],
    cx: &Cx<'_>,
    request: &HttpIn<'_>,
) -> Result<Decoded, Reject> {
    let (proof, push) = gate(options, keys).open(cx, request)?;
    let push = tree::parse_xml(&push)?;
    // Any other status, and it comes again.
    let done = Decoded::answer(proof, Reply::status(StatusCode::OK));
    let is_bell = push.text_of("Event") == Some("kf_msg_or_event");
    let account = push.text_of("OpenKfId").filter(|_| is_bell);
    // Other events, and other people's accounts: authentic, and nothing to us.
    let Some(account) = account.filter(|id| options.accounts.iter().any(|own| own == id)) else {
        return Ok(done);
    };
    let hint = push.text_of("Token");
    let hint = hint.filter(|hint| !hint.is_empty() && hint.len() <= HINT_BYTES_MAX);
    Ok(done.asking(Ask::Pull {
        line: account.to_owned(),
        hint: hint.map(|hint| Secret::new(hint.to_owned())),
    }))
}
