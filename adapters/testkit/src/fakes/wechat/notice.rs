//! Template messages, and messages of templates a user subscribed to: outside of any window.

use serde_json::{Value, json};

use super::{
    Kind,
    calls::{ok, template_of},
    content,
    errcode::{BAD_TEMPLATE, BAD_TEMPLATE_DATA, NO_SUCH_CALL, Refused, USER_REFUSED},
    state::{Book, Shown, Way},
    text,
};

/// `/cgi-bin/message/template/send`: for followers of an official account.
pub(super) fn template(book: &mut Book, body: &[u8], now_ms: i64) -> Result<Value, Refused> {
    let asked = content::json(body)?;
    let openid = content::openid(&asked)?;
    let (id, data) = template_of(&asked)?;
    if book.account.kind != Kind::Official {
        return Err(Refused::new(NO_SUCH_CALL, "official accounts only"));
    }
    check(book, id, data)?;
    let user = book.reachable(&openid)?;
    user.shown
        .push(shown(Way::Template, "template", &asked, now_ms));
    let number = book.begin(id, &openid);
    let mut answer = ok();
    answer["msgid"] = json!(number);
    Ok(answer)
}

/// `/cgi-bin/message/subscribe/send` of mini-programs and `../bizsend` of official accounts: as many as
/// the user has agreed to.
pub(super) fn subscription(
    book: &mut Book,
    path: &str,
    body: &[u8],
    now_ms: i64,
) -> Result<Value, Refused> {
    let asked = content::json(body)?;
    let openid = content::openid(&asked)?;
    let (id, data) = template_of(&asked)?;
    if path.ends_with("bizsend") != (book.account.kind == Kind::Official) {
        return Err(Refused::new(NO_SUCH_CALL, "not for this kind of account"));
    }
    check(book, id, data)?;
    let user = book.reachable(&openid)?;
    let left = user.subscriptions.get_mut(id).filter(|left| **left > 0);
    *left.ok_or_else(|| Refused::new(USER_REFUSED, "user refuse to accept the msg"))? -= 1;
    user.shown
        .push(shown(Way::Subscription, "subscription", &asked, now_ms));
    let number = book.begin(id, &openid);
    let mut answer = ok();
    answer["msgid"] = json!(number);
    Ok(answer)
}

/// Every keyword of the template has a value, and no other has.
fn check(book: &Book, id: &str, data: &Value) -> Result<(), Refused> {
    let keywords = book.templates.get(id);
    let keywords = keywords.ok_or_else(|| Refused::new(BAD_TEMPLATE, "invalid template_id"))?;
    let wrong = |what: String| {
        Err(Refused::new(
            BAD_TEMPLATE_DATA,
            format!("argument invalid! {what}"),
        ))
    };
    for keyword in keywords {
        if text(&data[keyword]["value"]).is_empty() {
            return wrong(format!("data.{keyword}.value is empty"));
        }
    }
    let given = data.as_object().into_iter().flatten();
    match given
        .map(|(name, _)| name)
        .find(|name| !keywords.contains(name))
    {
        Some(name) => wrong(format!("data.{name} is not in the template")),
        None => Ok(()),
    }
}

fn shown(way: Way, msg_type: &str, asked: &Value, now_ms: i64) -> Shown {
    Shown {
        way,
        msg_type: msg_type.to_owned(),
        content: asked.clone(),
        at_ms: now_ms,
    }
}
