//! The API, one function for each call.

use serde_json::{Value, json};

use super::{
    content::{self, text_of},
    errcode::{
        BAD_APPID, BAD_COMMAND, BAD_GRANT, BAD_SECRET, BUSY, NO_SUCH_CALL, NOT_TALKING, Refused,
        TYPING_ALREADY, WANTS_POST,
    },
    media::{Files, Media},
    notice,
    state::{Book, Shown, State, Way},
    text,
};

/// How long typing is shown.
const TYPING_MS: i64 = 15_000;
/// How long after a sign of life typing may be shown.
const TALKING_MS: i64 = 30_000;

/// A request, read whole.
pub(super) struct Call {
    pub(super) post: bool,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The field `media` of a form, if it is one.
    pub(super) file: Option<Result<Vec<u8>, Refused>>,
}

impl Call {
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.parameter("access_token")
    }
}

/// What is answered.
pub(super) enum Answered {
    Json(Value),
    File {
        bytes: Vec<u8>,
        content_type: &'static str,
    },
}

/// Does what a call asks for.
pub(super) fn perform(state: &mut State, call: &Call) -> Result<Answered, Refused> {
    let now_ms = state.now_ms();
    let posted = || {
        let refused = Refused::new(WANTS_POST, "require POST method");
        if call.post { Ok(()) } else { Err(refused) }
    };
    match call.path.as_str() {
        "/cgi-bin/token" => return token(state, call).map(Answered::Json),
        "/cgi-bin/stable_token" => {
            posted()?;
            return stable_token(state, call).map(Answered::Json);
        }
        path if path.starts_with("/films/") => return film(state, path),
        _ => {}
    }
    let url = state.url.clone();
    let book = state.owner(call.token())?;
    match call.path.as_str() {
        "/cgi-bin/media/get" => return get(book, call, &url, now_ms),
        "/cgi-bin/message/custom/send" => posted().and_then(|()| send(book, &call.body, now_ms)),
        "/cgi-bin/message/custom/typing" => {
            posted().and_then(|()| typing(book, &call.body, now_ms))
        }
        "/cgi-bin/message/template/send" => {
            posted().and_then(|()| notice::template(book, &call.body, now_ms))
        }
        "/cgi-bin/message/subscribe/send" | "/cgi-bin/message/subscribe/bizsend" => {
            posted().and_then(|()| notice::subscription(book, &call.path, &call.body, now_ms))
        }
        "/cgi-bin/media/upload" => posted().and_then(|()| upload(book, call, now_ms)),
        path => Err(Refused::new(NO_SUCH_CALL, format!("no such call: {path}"))),
    }
    .map(Answered::Json)
}

fn token(state: &mut State, call: &Call) -> Result<Value, Refused> {
    let of = |name: &str| call.parameter(name).unwrap_or_default();
    let now_ms = state.now_ms();
    let book = credentials(state, of("grant_type"), of("appid"), of("secret"))?;
    let (token, life_s) = book.tokens.plain(now_ms);
    Ok(json!({ "access_token": token, "expires_in": life_s }))
}

fn stable_token(state: &mut State, call: &Call) -> Result<Value, Refused> {
    let asked = content::json(&call.body)?;
    let now_ms = state.now_ms();
    let of = |name: &str| text(&asked[name]);
    let book = credentials(state, of("grant_type"), of("appid"), of("secret"))?;
    let force = asked["force_refresh"].as_bool().unwrap_or(false);
    let (token, life_s) = book.tokens.stable(now_ms, force)?;
    Ok(json!({ "access_token": token, "expires_in": life_s }))
}

fn credentials<'a>(
    state: &'a mut State,
    grant: &str,
    appid: &str,
    secret: &str,
) -> Result<&'a mut Book, Refused> {
    if grant != "client_credential" {
        return Err(Refused::new(BAD_GRANT, "invalid grant_type"));
    }
    let book = state.books.get_mut(appid);
    let book = book.ok_or_else(|| Refused::new(BAD_APPID, "invalid appid"))?;
    if book.account.secret != secret {
        return Err(Refused::new(BAD_SECRET, "invalid appsecret"));
    }
    Ok(book)
}

fn send(book: &mut Book, body: &[u8], now_ms: i64) -> Result<Value, Refused> {
    let message = content::message(&content::json(body)?, book.account.kind)?;
    book.count_send(now_ms)?;
    for (id, allowed) in &message.files {
        book.files.usable(id, allowed, now_ms)?;
    }
    let user = book.reachable(&message.to)?;
    user.window.take(now_ms)?;
    user.typing_until_ms = 0;
    user.shown.push(Shown {
        way: Way::CustomerService,
        msg_type: message.msg_type,
        content: message.content,
        at_ms: now_ms,
    });
    Ok(ok())
}

fn typing(book: &mut Book, body: &[u8], now_ms: i64) -> Result<Value, Refused> {
    let asked = content::json(body)?;
    let user = book.reachable(&content::openid(&asked)?)?;
    match text(&asked["command"]) {
        "Typing" if now_ms - user.last_sign_ms > TALKING_MS => {
            return Err(Refused::new(
                NOT_TALKING,
                "require the user to talk within 30 seconds",
            ));
        }
        "Typing" if user.typing_until_ms > now_ms => {
            return Err(Refused::new(TYPING_ALREADY, "typing already"));
        }
        "Typing" => user.typing_until_ms = now_ms + TYPING_MS,
        "CancelTyping" => user.typing_until_ms = 0,
        other => {
            return Err(Refused::new(
                BAD_COMMAND,
                format!("invalid command {other:?}"),
            ));
        }
    }
    Ok(ok())
}

fn upload(book: &mut Book, call: &Call, now_ms: i64) -> Result<Value, Refused> {
    let media = Media::named(call.parameter("type").unwrap_or_default())?;
    let missing = || Err(Refused::new(super::errcode::NO_MEDIA, "media data missing"));
    let bytes = call.file.clone().unwrap_or_else(missing)?;
    let id = book.files.take(media, bytes, now_ms)?;
    Ok(Files::receipt(media, &id, now_ms))
}

fn get(book: &mut Book, call: &Call, url: &str, now_ms: i64) -> Result<Answered, Refused> {
    let id = call.parameter("media_id").unwrap_or_default();
    let file = book.files.get(id, now_ms)?;
    if file.media == Media::Video {
        return Ok(Answered::Json(
            json!({ "video_url": format!("{url}/films/{id}") }),
        ));
    }
    Ok(Answered::File {
        bytes: file.bytes.clone(),
        content_type: file.content_type,
    })
}

/// Films have an address of their own that asks for no token.
fn film(state: &State, path: &str) -> Result<Answered, Refused> {
    let id = path.trim_start_matches("/films/");
    let now_ms = state.now_ms();
    let mut found = state
        .books
        .values()
        .filter_map(|book| book.files.get(id, now_ms).ok());
    let file = found
        .next()
        .ok_or_else(|| Refused::new(NO_SUCH_CALL, "no such film"))?;
    Ok(Answered::File {
        bytes: file.bytes.clone(),
        content_type: file.content_type,
    })
}

/// Success without anything to tell.
pub(super) fn ok() -> Value {
    json!({ "errcode": 0, "errmsg": "ok" })
}

/// A refusal that was asked for.
pub(super) fn ordered(errcode: i64) -> Refused {
    let sentence = if errcode == BUSY {
        "system error"
    } else {
        "refused as the test wants"
    };
    Refused::new(errcode, sentence)
}

/// The field `media` of a form.
pub(super) fn without_field() -> Refused {
    Refused::new(
        super::errcode::NO_MEDIA,
        "media data missing: a form with a file named media is wanted",
    )
}

/// The template a message is of, and its data.
pub(super) fn template_of(asked: &Value) -> Result<(&str, &Value), Refused> {
    Ok((text_of(asked, "template_id")?, &asked["data"]))
}
