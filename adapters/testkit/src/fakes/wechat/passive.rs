//! What a callback answered: `success`, nothing, or a reply that is shown to the user.

use serde_json::{Value, json};

use super::{
    Kind, Mode,
    crypt::Seal,
    media::Media,
    xml::{self, Node},
};

/// Articles of a reply.
const ARTICLES_MAX: usize = 8;

/// A reply that will be shown.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) msg_type: String,
    pub(super) content: Value,
    pub(super) files: Vec<(String, &'static [Media])>,
}

/// What a body of a 200 says.
pub(super) enum Said {
    Success,
    Empty,
    Reply(Reply),
}

/// Who said what to whom, for checking a reply.
pub(super) struct Asked<'a> {
    pub(super) kind: Kind,
    pub(super) mode: Mode,
    pub(super) seal: &'a Seal,
    pub(super) account: &'a str,
    pub(super) user: &'a str,
}

/// Reads an answer.
///
/// # Errors
/// Why the user is told that the service is unavailable.
pub(super) fn read(body: &str, asked: &Asked<'_>) -> Result<Said, String> {
    match body {
        "success" => return Ok(Said::Success),
        "" => return Ok(Said::Empty),
        _ => {}
    }
    let outside = parse(body)?;
    let sealed = outside.child("Encrypt").is_some();
    match asked.mode {
        Mode::Plain if sealed => return Err("a sealed answer in plain mode".to_owned()),
        Mode::Safe if !sealed => return Err("an open answer in safe mode".to_owned()),
        _ => {}
    }
    let inside = if sealed {
        open(&outside, asked.seal)?
    } else {
        outside
    };
    reply(&inside, asked).map(Said::Reply)
}

/// XML or JSON, as the same tree.
fn parse(body: &str) -> Result<Node, String> {
    match body.trim_start().chars().next() {
        Some('{') => {
            let value: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
            Ok(tree("xml", &value))
        }
        _ => xml::read(body),
    }
}

fn tree(name: &str, value: &Value) -> Node {
    let (text, children) = match value {
        Value::Object(fields) => (
            String::new(),
            fields
                .iter()
                .map(|(name, value)| tree(name, value))
                .collect(),
        ),
        Value::Array(items) => (
            String::new(),
            items.iter().map(|item| tree("item", item)).collect(),
        ),
        Value::String(text) => (text.clone(), Vec::new()),
        other => (other.to_string(), Vec::new()),
    };
    Node {
        name: name.to_owned(),
        text,
        children,
    }
}

fn open(outside: &Node, seal: &Seal) -> Result<Node, String> {
    let field = |name: &str| {
        outside
            .text_of(name)
            .ok_or_else(|| format!("{name} is missing"))
    };
    let (encrypt, at, nonce) = (field("Encrypt")?, field("TimeStamp")?, field("Nonce")?);
    at.parse::<i64>().map_err(|_| "TimeStamp is no number")?;
    if field("MsgSignature")? != seal.sign(&[at, nonce, encrypt]) {
        return Err("MsgSignature is wrong".to_owned());
    }
    let plain = String::from_utf8(seal.open(encrypt)?).map_err(|_| "not UTF-8")?;
    parse(&plain)
}

fn reply(node: &Node, asked: &Asked<'_>) -> Result<Reply, String> {
    let field = |name: &str| {
        node.text_of(name)
            .ok_or_else(|| format!("{name} is missing"))
    };
    if field("ToUserName")? != asked.user || field("FromUserName")? != asked.account {
        return Err("ToUserName and FromUserName are not swapped".to_owned());
    }
    field("CreateTime")?
        .parse::<i64>()
        .map_err(|_| "CreateTime is no number")?;
    let msg_type = field("MsgType")?;
    if asked.kind == Kind::MiniProgram && msg_type != "transfer_customer_service" {
        return Err(format!("a mini-program may not answer with {msg_type}"));
    }
    let mut files = Vec::new();
    let content = match msg_type {
        "text" => {
            let text = field("Content")?;
            if text.is_empty() || text.len() > super::content::TEXT_BYTES_MAX {
                return Err(format!("a text of {} bytes", text.len()));
            }
            json!({ "Content": text })
        }
        "image" => with_file(node, "Image", &[Media::Image], &mut files)?,
        "voice" => with_file(node, "Voice", &[Media::Voice], &mut files)?,
        "video" => with_file(node, "Video", &[Media::Video], &mut files)?,
        "music" => node.child("Music").ok_or("Music is missing")?.to_json(),
        "news" => articles(node)?,
        "transfer_customer_service" => node.child("TransInfo").map_or(json!({}), Node::to_json),
        other => return Err(format!("MsgType {other}")),
    };
    Ok(Reply {
        msg_type: msg_type.to_owned(),
        content,
        files,
    })
}

fn with_file(
    node: &Node,
    name: &str,
    allowed: &'static [Media],
    files: &mut Vec<(String, &'static [Media])>,
) -> Result<Value, String> {
    let inner = node
        .child(name)
        .ok_or_else(|| format!("{name} is missing"))?;
    let id = inner.text_of("MediaId").ok_or("MediaId is missing")?;
    files.push((id.to_owned(), allowed));
    Ok(inner.to_json())
}

fn articles(node: &Node) -> Result<Value, String> {
    let articles = node.child("Articles").ok_or("Articles is missing")?;
    let count = node
        .text_of("ArticleCount")
        .and_then(|count| count.parse::<usize>().ok());
    let n = articles.children.len();
    if count != Some(n)
        || n == 0
        || n > ARTICLES_MAX
        || articles.children.iter().any(|item| item.name != "item")
    {
        return Err(format!("ArticleCount {count:?} of {n} articles"));
    }
    Ok(articles.to_json())
}
