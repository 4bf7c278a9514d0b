//! An HTTP/1.1 client that costs next to nothing, so that what is measured is not the load itself.
//!
//! One keep-alive connection, one request at a time, no TLS. It reads what our own servers answer
//! and nothing more.

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The longest answer that is read, bytes.
const ANSWER_MAX: usize = 1024 * 1024;
/// Read buffer of a connection, bytes.
const READ_BUFFER: usize = 2048;

/// Host and port of `http://host:port`.
pub(super) fn authority(url: &str) -> anyhow::Result<&str> {
    let rest = url.strip_prefix("http://");
    let rest = rest.with_context(|| format!("{url}: only http:// is measured"))?;
    Ok(rest.split('/').next().unwrap_or(rest))
}

/// A keep-alive connection.
pub(super) struct Client {
    stream: TcpStream,
    authority: String,
    request: Vec<u8>,
    answer: BytesMut,
}

/// An answer: status and body.
pub(super) type Answer = (u16, Bytes);

impl Client {
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let authority = authority(url)?.to_owned();
        let connect = TcpStream::connect(&authority).await;
        let stream = connect.with_context(|| format!("connect to {authority}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            authority,
            request: Vec::new(),
            answer: BytesMut::with_capacity(READ_BUFFER),
        })
    }

    /// Sends a request with a JSON body and reads its answer. `headers`: whole lines.
    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{headers}\r\n",
            self.authority,
            body.len(),
        );
        self.request.clear();
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await?;
        self.read_answer().await
    }

    /// A request whose answer has to be a success, with JSON both ways.
    pub(super) async fn json(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let headers = token.map(bearer).unwrap_or_default();
        let body = body.to_string();
        let (status, answer) = self.send(method, path, &headers, body.as_bytes()).await?;
        let text = String::from_utf8_lossy(&answer);
        anyhow::ensure!(
            (200..300).contains(&status),
            "{method} {path}: {status} {text}"
        );
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn read_answer(&mut self) -> anyhow::Result<Answer> {
        let mut seen = 0;
        let head_end = loop {
            if let Some(at) = find(&self.answer[seen..], b"\r\n\r\n") {
                break seen + at + 4;
            }
            seen = self.answer.len().saturating_sub(3);
            self.fill().await?;
        };
        let head = self.answer.split_to(head_end);
        let (status, length) = parse_head(&head)?;
        while self.answer.len() < length {
            self.fill().await?;
        }
        Ok((status, self.answer.split_to(length).freeze()))
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.answer.len() < ANSWER_MAX, "the answer is too long");
        self.answer.reserve(READ_BUFFER);
        let n = self.stream.read_buf(&mut self.answer).await?;
        anyhow::ensure!(n > 0, "the server closed the connection");
        Ok(())
    }

    /// The connection, and what was read past the last answer.
    pub(super) fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.stream, self.answer)
    }
}

/// The header line of a bearer token.
pub(super) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

/// Status and length of the body.
fn parse_head(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12));
    let status: u16 = status.context("an answer without a status")?.parse()?;
    let mut length = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse()?);
        }
    }
    let no_body = status < 200 || status == 204;
    let length = length.or(no_body.then_some(0));
    Ok((status, length.context("an answer without a length")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_status_and_length() {
        let head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 17\r\nx: y\r\n\r\n";
        assert_eq!(parse_head(head).unwrap(), (202, 17));
        assert_eq!(parse_head(b"HTTP/1.1 204 No\r\n\r\n").unwrap(), (204, 0));
        assert!(
            parse_head(b"HTTP/1.1 200 OK\r\n\r\n").is_err(),
            "no end is told"
        );
        assert!(parse_head(b"SSH-2.0\r\n\r\n").is_err());
    }

    #[test]
    fn only_plain_http_is_measured() {
        assert_eq!(authority("http://127.0.0.1:80/x").unwrap(), "127.0.0.1:80");
        assert!(authority("https://127.0.0.1").is_err());
    }
}
