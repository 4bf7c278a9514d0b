//! Sending, step by step: files first, then each message by the API that takes it.

use patchbay_message::{Envelope, Party, ReceiptState};
use patchbay_sdk::{Cx, Effect, Exchange, Request, SendError, Sent, Step, verify};
use serde_json::{Map, Value, json};

use super::{
    ACCESS,
    answer::Nature,
    api::Api,
    media,
    options::{Account, Options},
    say::{MediaAt, Say, plan},
};

const CUSTOM: &str = "/cgi-bin/message/custom/send";
const TYPING: &str = "/cgi-bin/message/custom/typing";
const TEMPLATE: &str = "/cgi-bin/message/template/send";
const NOTICE_OFFICIAL: &str = "/cgi-bin/message/subscribe/bizsend";
const NOTICE_MINI_PROGRAM: &str = "/cgi-bin/message/subscribe/send";

/// The next step of an outbound.
pub(super) fn step(
    options: &Options,
    cx: &Cx<'_>,
    outbound: &Envelope,
    past: &[Exchange],
) -> Result<Step<Vec<Sent>>, SendError> {
    let to = recipient(outbound)?;
    let (api, plan) = (options.api(), plan(options, cx, outbound)?);
    let Some(token) = (cx.token)(ACCESS) else {
        return Ok(Step::Need(ACCESS));
    };
    let mut past = past.iter();
    let mut sent = Vec::new();
    for (part, say) in (0_u16..).zip(&plan) {
        let media_id = match media_of(say) {
            None => None,
            Some((_, MediaAt::There(id))) => Some(id.clone()),
            Some((kind, MediaAt::Here(file))) => match past.next() {
                None => {
                    return Ok(Step::Call(media::upload(
                        &api,
                        cx,
                        token.expose(),
                        kind,
                        file,
                    )));
                }
                Some(exchange) => Some(api.uploaded(exchange)?),
            },
        };
        let Some(exchange) = past.next() else {
            let media_id = media_id.as_deref();
            let request = request(options, token.expose(), to, outbound, part, say, media_id)?;
            return Ok(Step::Call(request));
        };
        let outcome = outcome(&api, part, say, exchange).map_err(|error| match error {
            SendError::Gone(_) => SendError::Gone(to.to_owned()),
            other => other,
        });
        sent.extend(outcome?);
    }
    Ok(Step::Done(sent))
}

pub(crate) fn recipient(outbound: &Envelope) -> Result<&str, SendError> {
    let recipient: Option<&Party> = outbound.recipient.as_ref();
    let recipient =
        recipient.ok_or_else(|| SendError::Payload("the message has no recipient".to_owned()))?;
    Ok(&recipient.address)
}

/// The file a message needs.
pub(super) fn media_of(say: &Say) -> Option<(media::Kind, &MediaAt)> {
    match say {
        Say::Media { kind, media, .. } => Some((*kind, media)),
        Say::Page { thumb, .. } => Some((media::Kind::Thumb, thumb)),
        _ => None,
    }
}

fn request(
    options: &Options,
    token: &str,
    to: &str,
    outbound: &Envelope,
    part: u16,
    say: &Say,
    media_id: Option<&str>,
) -> Result<Request, SendError> {
    let mut body = Map::from_iter([("touser".to_owned(), Value::from(to))]);
    let mut key = None;
    let path = match say {
        Say::Typing(on) => {
            let command = if *on { "Typing" } else { "CancelTyping" };
            body.insert("command".to_owned(), command.into());
            TYPING
        }
        Say::Template(template) => {
            body.extend(template.as_object().cloned().unwrap_or_default());
            // Within ten minutes the same id to the same contact is sent once.
            let id = template_key(outbound, part);
            body.insert("client_msg_id".to_owned(), id.as_str().into());
            key = Some(id);
            TEMPLATE
        }
        Say::Notice(notice) => {
            body.extend(notice.as_object().cloned().unwrap_or_default());
            match options.account {
                Account::Official => NOTICE_OFFICIAL,
                Account::MiniProgram => NOTICE_MINI_PROGRAM,
            }
        }
        other => {
            let (kind, said) = custom(options, other, media_id)?;
            body.insert("msgtype".to_owned(), kind.into());
            body.insert(kind.to_owned(), said);
            CUSTOM
        }
    };
    let effect = match say {
        Say::Typing(_) => Effect::Read,
        _ => Effect::Deliver { part, key },
    };
    Ok(options
        .api()
        .post(path, token, &Value::Object(body), effect))
}

/// 32 characters at most are taken as an id; one of ours and the part's number have more.
fn template_key(outbound: &Envelope, part: u16) -> String {
    let digest = verify::digest(format!("{}:{part}", outbound.id).as_bytes());
    hex::encode(&digest[..16])
}

/// A customer-service message: its `msgtype`, and what stands under that name.
fn custom(
    options: &Options,
    say: &Say,
    media_id: Option<&str>,
) -> Result<(&'static str, Value), SendError> {
    let with_id = |field: &str, more: &Map<String, Value>| {
        let mut said = more.clone();
        said.insert(field.to_owned(), media_id.into());
        Value::Object(said)
    };
    Ok(match say {
        Say::Text(text) => ("text", json!({ "content": text })),
        Say::Media { kind, more, .. } => (kind.word(), with_id("media_id", more)),
        Say::Page { more, .. } => ("miniprogrampage", with_id("thumb_media_id", more)),
        Say::News(link) => match options.account {
            Account::Official => ("news", json!({ "articles": [link] })),
            Account::MiniProgram => ("link", link.clone()),
        },
        Say::Menu(menu) => ("msgmenu", menu.clone()),
        Say::Music(music) if options.account == Account::Official => ("music", music.clone()),
        _ => return Err(SendError::Unsupported),
    })
}

fn outcome(
    api: &Api<'_>,
    part: u16,
    say: &Say,
    exchange: &Exchange,
) -> Result<Option<Sent>, SendError> {
    if let Say::Typing(_) = say {
        // Whether it is shown or not, nobody misses it; a token that is too old is made anew.
        return match api.said(exchange, Nature::Repeatable) {
            Err(error @ (SendError::TokenExpired(_) | SendError::Retry(_))) => Err(error),
            _ => Ok(None),
        };
    }
    let said = match api.said(exchange, Nature::Once) {
        Ok(said) if said.errcode.is_none() => return Err(SendError::Unknown),
        said => said?,
    };
    Ok(Some(Sent {
        part,
        external_id: said.msgid(),
        state: ReceiptState::Accepted,
        awaits: None,
    }))
}
