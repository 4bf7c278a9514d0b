use http::{HeaderMap, Method, StatusCode};
use patchbay_sdk::Effect;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use super::*;

fn transport() -> Http {
    Http::new(HttpOptions {
        connect_timeout: Duration::from_millis(500),
        answer_timeout_max: Duration::from_millis(300),
        answer_bytes_max: 10,
        ..HttpOptions::default()
    })
    .expect("a client")
}

fn post(url: &str) -> HttpOut {
    HttpOut {
        method: Method::POST,
        url: url.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"hello"),
        effect: Effect::Deliver { part: 0, key: None },
        timeout: Duration::from_secs(600),
    }
}

/// Takes one request, says `answer`, and closes or stays.
async fn server(answer: &'static str, stays: bool) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let serving = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"hello") {
            let n = socket.read_buf(&mut request).await.expect("a request");
            assert!(n > 0, "the whole request comes");
        }
        socket.write_all(answer.as_bytes()).await.expect("written");
        if stays {
            std::future::pending::<()>().await;
        }
    });
    (url, serving)
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = format!("http://{}/", listener.local_addr().expect("bound"));
    drop(listener);
    for url in [&*closed, "no url"] {
        let exchange = transport().perform(post(url)).await;
        assert!(matches!(exchange, Exchange::NotSent(_)), "{exchange:?}");
    }
}

#[tokio::test]
async fn without_an_answer_nobody_knows() {
    let broken_body = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    for (answer, stays) in [("", false), ("", true), (broken_body, false)] {
        let (url, serving) = server(answer, stays).await;
        let begun = std::time::Instant::now();
        let exchange = transport().perform(post(&url)).await;
        assert!(matches!(exchange, Exchange::Unknown(_)), "{exchange:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "bounded");
        assert!(!format!("{exchange:?}").contains("http://"), "no URL");
        serving.abort();
    }
}

#[tokio::test]
async fn an_answer_is_given_back_cut_to_its_bound_and_not_followed() {
    let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 14\r\n\r\n0123456789abcd";
    let (url, serving) = server(answer, true).await;
    let exchange = transport().perform(post(&url)).await;
    let Exchange::Answered(Answer::Http {
        status,
        headers,
        body,
    }) = exchange
    else {
        panic!("no answer: {exchange:?}");
    };
    assert_eq!(status, StatusCode::FOUND);
    assert_eq!(headers["location"], "http://127.0.0.1:1/");
    assert_eq!(body, "0123456789");
    serving.abort();
}
