//! What each call does, and with which `errcode` it is refused.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{PAGE_MAX, State};

/// A call that was read.
pub(super) struct Call {
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Call {
    fn value(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.iter();
        pairs.find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }
}

/// An `errcode` and its words.
pub(super) type Refused = (i64, &'static str);

pub(super) fn perform(state: &mut State, call: &Call) -> Result<Value, Refused> {
    if call.path == "/cgi-bin/gettoken" {
        return token(state, call);
    }
    match (call.value("access_token"), &state.token) {
        (None | Some(""), _) => return Err((41001, "access_token missing")),
        (given, present) if given != present.as_deref() => {
            return Err((42001, "access_token expired"));
        }
        _ => {}
    }
    match call.path.as_str() {
        "/cgi-bin/kf/sync_msg" => sync(state, &read(&call.body)?),
        "/cgi-bin/kf/send_msg" => send(state, read(&call.body)?),
        _ => Err((404, "no such API")),
    }
}

fn read<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|_| (47001, "data format error"))
}

fn token(state: &mut State, call: &Call) -> Result<Value, Refused> {
    if call.value("corpid") != Some(&state.enterprise.corp_id) {
        return Err((40013, "invalid corpid"));
    }
    if call.value("corpsecret") != Some(&state.enterprise.secret) {
        return Err((40001, "invalid credential"));
    }
    // The present one is given out again until it ends.
    let token = match &state.token {
        Some(token) => token.clone(),
        None => {
            state.n_tokens += 1;
            state
                .token
                .insert(format!("access-{}", state.n_tokens))
                .clone()
        }
    };
    Ok(json!({ "errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200 }))
}

#[derive(Deserialize)]
struct Sync {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    token: String,
    limit: usize,
    open_kfid: String,
}

fn sync(state: &mut State, asked: &Sync) -> Result<Value, Refused> {
    let account = &asked.open_kfid;
    if !state.enterprise.accounts.contains(account) {
        return Err((95000, "invalid open_kfid"));
    }
    if !asked.token.is_empty() && !state.hints.contains(&asked.token) {
        return Err((95007, "invalid msg token"));
    }
    if !(1..=1000).contains(&asked.limit) {
        return Err((40058, "limit is invalid"));
    }
    let rows = state.rows.get(account).map_or(&[][..], Vec::as_slice);
    let start = match asked.cursor.as_str() {
        "" => 0,
        cursor => cursor
            .strip_prefix(account.as_str())
            .and_then(|rest| rest.strip_prefix('@')?.parse::<usize>().ok())
            .filter(|at| *at <= rows.len())
            .ok_or((40058, "cursor is invalid"))?,
    };
    let end = rows.len().min(start + asked.limit.min(PAGE_MAX));
    Ok(json!({
        "errcode": 0, "errmsg": "ok", "next_cursor": format!("{account}@{end}"),
        "has_more": u8::from(end < rows.len()), "msg_list": rows[start..end],
    }))
}

#[derive(Deserialize)]
struct Send {
    touser: String,
    open_kfid: String,
    #[serde(default)]
    msgid: String,
    msgtype: String,
    text: Option<Text>,
}

#[derive(Deserialize)]
struct Text {
    content: String,
}

fn send(state: &mut State, said: Send) -> Result<Value, Refused> {
    if !state.enterprise.accounts.contains(&said.open_kfid) {
        return Err((95000, "invalid open_kfid"));
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if said.msgid.len() > 32 || !said.msgid.bytes().all(is_plain) {
        return Err((40058, "msgid is invalid"));
    }
    let text = match (said.msgtype.as_str(), said.text) {
        ("text", Some(text)) => text.content,
        _ => return Err((40008, "invalid message type")),
    };
    if text.is_empty() || text.len() > 2048 {
        return Err((45002, "content size out of limit"));
    }
    let id = (said.open_kfid.clone(), said.msgid.clone());
    if !said.msgid.is_empty() && state.msgids.contains(&id) {
        return Err((40058, "msgid is duplicate"));
    }
    let to = (said.open_kfid.clone(), said.touser.clone());
    let left = state.left.get_mut(&to);
    match left.ok_or((95002, "send msg time limit"))? {
        0 => return Err((95001, "send msg count limit")),
        left => *left -= 1,
    }
    state.msgids.insert(id);
    state.shown.push((said.open_kfid, said.touser, text));
    let id = match said.msgid {
        none if none.is_empty() => format!("sent-{}", state.shown.len()),
        id => id,
    };
    Ok(json!({ "errcode": 0, "errmsg": "ok", "msgid": id }))
}
