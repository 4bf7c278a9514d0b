//! Files: fetched from WeChat while it keeps them, and given to it before they are sent.
//!
//! <https://developers.weixin.qq.com/doc/offiaccount/Asset_Management/Get_temporary_materials.html>

use std::{fmt::Write, time::Duration};

use http::{HeaderMap, HeaderValue, Method, header};
use patchbay_message::Media;
use patchbay_sdk::{
    Answer, Cx, Effect, Exchange, Fetched, HttpOut, Insert, Request, SendError, Step, Upload,
};

use super::{
    ACCESS,
    answer::{self, Nature, Said},
    api::Api,
};

/// How long a file may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Where WeChat's own videos are; nothing else is fetched, wherever an answer points.
const VIDEO_HOST: &str = "qq.com";
/// Bytes of the longest name a file is given.
const NAME_BYTES_MAX: usize = 100;
/// Bytes of the longest ending of such a name.
const ENDING_BYTES_MAX: usize = 10;
/// What WeChat answers for a media id that it does not have, or not any more.
const NO_MEDIA: i64 = 40007;

/// Fetches a file that came in.
pub(crate) fn fetch(
    api: &Api<'_>,
    cx: &Cx<'_>,
    handle: &str,
    past: &[Exchange],
) -> Result<Step<Fetched>, SendError> {
    let Some(token) = (cx.token)(ACCESS) else {
        return Ok(Step::Need(ACCESS));
    };
    let Some(first) = past.first() else {
        let query = [("access_token", token.expose()), ("media_id", handle)];
        return Ok(Step::Call(get(api.address("/cgi-bin/media/get", &query))));
    };
    let Some(said) = said(first)? else {
        return fetched(first).map(Step::Done);
    };
    match (said.errcode, said.video_url, past.get(1)) {
        (Some(NO_MEDIA), ..) => Err(SendError::Gone(format!("{NO_MEDIA} {}", said.errmsg))),
        (Some(code), ..) if code != 0 => Err((api.error)(code, &said.errmsg)),
        (_, Some(_), Some(second)) => fetched(second).map(Step::Done),
        (_, Some(video), None) if let Some(url) = video_at(api, &video) => Ok(Step::Call(get(url))),
        _ => Err(SendError::Payload(
            "neither a file nor where one is".to_owned(),
        )),
    }
}

/// What an answer in JSON says; none if it is the file itself. Errors come with status 200.
///
/// What has a disposition is a file, whatever its type: a contact may send JSON of his own, and it
/// must not pass for WeChat's words.
fn said(exchange: &Exchange) -> Result<Option<Said>, SendError> {
    let body = answer::body(exchange, Nature::Repeatable)?;
    let kind = header(exchange, header::CONTENT_TYPE).unwrap_or_default();
    let may_be_json = kind.contains("json") || kind.starts_with("text/");
    if is_file(exchange) || !may_be_json {
        return Ok(None);
    }
    Ok(serde_json::from_slice(body).ok())
}

/// Whether there is a disposition; names in it need not be ASCII.
fn is_file(exchange: &Exchange) -> bool {
    let Exchange::Answered(Answer::Http { headers, .. }) = exchange else {
        return false;
    };
    headers.contains_key(header::CONTENT_DISPOSITION)
}

fn fetched(exchange: &Exchange) -> Result<Fetched, SendError> {
    let bytes = answer::body(exchange, Nature::Repeatable)?;
    Ok(Fetched {
        bytes: bytes::Bytes::copy_from_slice(bytes),
        mime: header(exchange, header::CONTENT_TYPE),
        name: header(exchange, header::CONTENT_DISPOSITION)
            .as_deref()
            .and_then(name_in),
    })
}

fn header(exchange: &Exchange, name: header::HeaderName) -> Option<String> {
    let Exchange::Answered(Answer::Http { headers, .. }) = exchange else {
        return None;
    };
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `attachment; filename="MEDIA_ID.jpg"`
fn name_in(disposition: &str) -> Option<String> {
    let (_, rest) = disposition.split_once("filename=")?;
    let name = rest.split(';').next()?.trim().trim_matches('"');
    (!name.is_empty()).then(|| name.to_owned())
}

/// Where a video is fetched, if it is where WeChat keeps its videos or beside the API: an answer must
/// not send us anywhere else, nor to another port. Addresses of `http` are asked by TLS.
fn video_at(api: &Api<'_>, video: &str) -> Option<String> {
    let found = Origin::of(video)?;
    // A proxy or a test in front of the API speaks as the API does, also of videos.
    if Origin::of(api.url).is_some_and(|own| own == found) {
        return Some(video.to_owned());
    }
    let front = found.authority.strip_suffix(VIDEO_HOST)?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
    let is_wechat = (front.is_empty() || front.ends_with('.')) && front.bytes().all(is_name);
    is_wechat.then(|| format!("https://{}{}", found.authority, found.rest))
}

/// An address in parts, of which the first two say whom it reaches.
struct Origin<'a> {
    scheme: &'a str,
    authority: String,
    /// Path and query.
    rest: &'a str,
}

impl<'a> Origin<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, after) = url.split_once("://")?;
        let end = after.find(['/', '?', '#', '\\']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        let is_plain = matches!(scheme, "http" | "https") && !authority.contains('@');
        is_plain.then(|| Self {
            scheme,
            authority: authority.to_ascii_lowercase(),
            rest,
        })
    }
}

impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.authority == other.authority
    }
}

fn get(url: String) -> Request {
    Request::Http(HttpOut {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
        effect: Effect::Read,
        timeout: TIMEOUT,
    })
}

/// What kind of media WeChat is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Image,
    Voice,
    Video,
    Thumb,
    /// Anything else; WeCom only.
    File,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Voice => "voice",
            Self::Video => "video",
            Self::Thumb => "thumb",
            Self::File => "file",
        }
    }

    /// The largest file, bytes; see the page linked above.
    pub(crate) fn bytes_max(self) -> u64 {
        match self {
            Self::Image | Self::Video => 10 * 1024 * 1024,
            Self::Voice => 2 * 1024 * 1024,
            Self::Thumb => 64 * 1024,
            Self::File => 20 * 1024 * 1024,
        }
    }
}

/// Gives WeChat a file of ours, whose bytes the transport puts in.
pub(crate) fn upload(
    api: &Api<'_>,
    cx: &Cx<'_>,
    token: &str,
    kind: Kind,
    media: &Media,
) -> Request {
    let mut random = [0_u8; 16];
    cx.random.fill(&mut random);
    let boundary = format!("patchbay-{}", hex::encode(random));
    let mut body = String::new();
    let name = file_name(media, kind);
    let mime = if is_plain(&media.mime) {
        &media.mime
    } else {
        "application/octet-stream"
    };
    write!(
        body,
        "--{boundary}\r\nContent-Disposition: form-data; name=\"media\"; filename=\"{name}\"\r\n\
         Content-Type: {mime}\r\n\r\n"
    )
    .expect("a string takes any text");
    let at = body.len();
    write!(body, "\r\n--{boundary}--\r\n").expect("a string takes any text");
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    let content_type = content_type.expect("hex is a header's value");
    let query = [("access_token", token), ("type", kind.word())];
    Request::Http(HttpOut {
        method: Method::POST,
        url: api.address("/cgi-bin/media/upload", &query),
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]),
        body: body.into(),
        effect: Effect::Upload(Box::new(Upload {
            reuse: Some(format!("{}:{}:{}", api.account, kind.word(), media.url)),
            insert: Some(Insert {
                at,
                media: media.url.clone(),
                bytes_max: kind.bytes_max(),
            }),
        })),
        timeout: TIMEOUT,
    })
}

/// WeChat judges a file by its name's ending.
fn file_name(media: &Media, kind: Kind) -> String {
    let ending = match media.mime.as_str() {
        "image/png" => "png",
        "image/gif" => "gif",
        "image/bmp" => "bmp",
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/amr" => "amr",
        _ => match kind {
            Kind::Image | Kind::Thumb => "jpg",
            Kind::Voice => "amr",
            Kind::Video => "mp4",
            Kind::File => name_ending(media).unwrap_or("bin"),
        },
    };
    let stem = media.name.as_deref().unwrap_or_default();
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let stem: String = stem
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
        .collect();
    let fits = !stem.trim().is_empty() && stem.len() <= NAME_BYTES_MAX;
    format!("{}.{ending}", if fits { stem.trim() } else { "file" })
}

/// As the file itself is called.
fn name_ending(media: &Media) -> Option<&str> {
    let (_, ending) = media.name.as_deref()?.rsplit_once('.')?;
    let is_plain = ending.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_plain && (1..=ENDING_BYTES_MAX).contains(&ending.len())).then_some(ending)
}

fn is_plain(mime: &str) -> bool {
    !mime.is_empty()
        && mime
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/.+-".contains(&b))
}
