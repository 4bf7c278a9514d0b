//! What to hold open: a session at a broker, or a listener.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use patchbay_sdk::{
    Link, LinkPolicy, MqttBroker, MqttListener, MqttTls, MqttVersion, Secret,
    options::{self, ByteSize, Problems},
    topic, verify,
};

use super::{
    options::{AlinkLogin, Options, Ordering, Version},
    rule::Rule,
};

/// Bytes of a client id: more than any broker gives out, less than any refuses.
const CLIENT_ID_BYTES_MAX: usize = 128;
/// Filters of one channel: each is a session of its own.
const FILTERS_MAX: usize = 32;

/// The link; none beside a mistake.
pub(super) fn link(options: &Options, rules: &[Rule], problems: &mut Problems) -> Option<Link> {
    bounds(options, problems);
    problems.require(
        options.cert.is_some() == options.key.is_some(),
        if options.cert.is_some() {
            "cert"
        } else {
            "key"
        },
        "`cert` and `key` belong together",
    );
    match (&options.url, &options.listen) {
        (Some(url), None) => {
            let broker = broker(options, url, rules, problems)?;
            Some(Link::MqttBroker(Box::new(broker)))
        }
        (None, Some(listen)) => {
            let listener = listener(options, listen, problems)?;
            Some(Link::MqttListener(Box::new(listener)))
        }
        _ => {
            problems.add(
                "",
                "a channel has `url` (a broker) or `listen` (its own listener)",
            );
            None
        }
    }
}

/// Bounds and rules of the listener's connections.
pub(super) fn policy(options: &Options) -> LinkPolicy {
    LinkPolicy {
        heartbeat: options.keep_alive.get(),
        idle: idle(options.keep_alive.get()),
        frame_bytes_max: options.packet_bytes_max.in_memory(),
        messages_per_minute: options.messages_per_minute,
        messages_burst: options.messages_burst,
        origins: Vec::new(),
        connections_per_address: 1,
    }
}

/// One and a half times the keep-alive (MQTT 5.0, section 3.1.2.10).
fn idle(keep_alive: Duration) -> Duration {
    keep_alive + keep_alive / 2
}

fn bounds(options: &Options, problems: &mut Problems) {
    let secs = options::Duration::secs;
    let days = options::Duration::days;
    problems.between("keep_alive", options.keep_alive, secs(5), secs(65_535));
    problems.between("session_expiry", options.session_expiry, secs(0), days(366));
    problems.between("in_flight_max", options.in_flight_max, 1, 1000);
    problems.between("qos", options.qos, 0, 1);
    let (min, max) = (ByteSize::kib(1), ByteSize::kib(256));
    problems.between("packet_bytes_max", options.packet_bytes_max, min, max);
    problems.between("connections_max", options.connections_max, 1, 1_000_000);
    problems.between(
        "connections_per_address_max",
        options.connections_per_address_max,
        1,
        1_000_000,
    );
    problems.between(
        "connect_timeout",
        options.connect_timeout,
        secs(1),
        secs(120),
    );
    problems.between(
        "messages_per_minute",
        options.messages_per_minute,
        1,
        60_000,
    );
    problems.between("messages_burst", options.messages_burst, 1, 60_000);
}

fn broker(
    options: &Options,
    url: &str,
    rules: &[Rule],
    problems: &mut Problems,
) -> Option<MqttBroker> {
    for (path, is_set) in [
        ("devices", !options.devices.is_empty()),
        ("derived", options.derived.is_some()),
    ] {
        problems.require(
            !is_set,
            path,
            "is for `listen`: a broker knows its devices itself",
        );
    }
    problems.require(
        options.share.is_some() == (options.ordering == Ordering::None),
        "share",
        "names the group of a shared subscription, with `ordering = \"none\"` and only there",
    );
    let is_group = |group: &String| topic::is_level(group);
    problems.require(
        options.share.as_ref().is_none_or(is_group),
        "share",
        "must be one level of a topic without wildcards",
    );
    let Some((is_tls, host, port)) = address(url) else {
        problems.add(
            "url",
            "must be like `mqtts://broker.example:8883`, without path or login",
        );
        return None;
    };
    let has_files = options.ca.is_some() || options.cert.is_some();
    problems.require(
        is_tls || !has_files,
        "url",
        "must begin with `mqtts://` for `ca`, `cert` and `key` to mean anything",
    );
    let who = who(options, problems);
    let mut filters: Vec<String> = rules.iter().map(|rule| rule.template.filter()).collect();
    filters = topic::without_covered(&filters);
    if options.login.alink.is_some() {
        filters = vec![common(&filters)];
    }
    problems.require(
        filters.len() <= FILTERS_MAX,
        "up",
        &format!("{FILTERS_MAX} topics that do not cover each other at most"),
    );
    let path = |file: &Option<String>| file.as_ref().map(PathBuf::from);
    Some(MqttBroker {
        host,
        port,
        tls: is_tls.then(|| MqttTls {
            ca: path(&options.ca),
            client: path(&options.cert).zip(path(&options.key)),
        }),
        version: match options.version.unwrap_or(Version::V5) {
            Version::V4 => MqttVersion::V4,
            Version::V5 => MqttVersion::V5,
        },
        client_id: who.client_id,
        username: who.username,
        password: who.password,
        filters,
        qos: options.qos,
        share: options.share.clone(),
        keep_alive: options.keep_alive.get(),
        session_expiry: options.session_expiry.get(),
        in_flight_max: options.in_flight_max,
        packet_bytes_max: options.packet_bytes_max.in_memory(),
    })
}

#[derive(Default)]
struct Who {
    client_id: String,
    username: Option<String>,
    password: Option<Secret>,
}

fn who(options: &Options, problems: &mut Problems) -> Who {
    if let Some(alink) = &options.login.alink {
        for (path, is_set) in [
            ("client_id", options.client_id.is_some()),
            ("username", options.username.is_some()),
            ("password", options.password.is_some()),
        ] {
            problems.require(!is_set, path, "is made by `login.alink`");
        }
        return alink_login(alink).unwrap_or_default();
    }
    let is_id = |id: &String| {
        (1..=CLIENT_ID_BYTES_MAX).contains(&id.len()) && !id.chars().any(char::is_control)
    };
    problems.require(
        options.client_id.as_ref().is_some_and(is_id),
        "client_id",
        &format!("must name our sessions at the broker, in 1 to {CLIENT_ID_BYTES_MAX} bytes"),
    );
    problems.require(
        options.username.is_some() || options.password.is_none(),
        "password",
        "needs a `username`",
    );
    Who {
        client_id: options.client_id.clone().unwrap_or_default(),
        username: options.username.clone(),
        password: options.password.clone(),
    }
}

/// Client id, login and password of a device of Aliyun IoT. The signature covers no time: the
/// platform takes one without.
fn alink_login(alink: &AlinkLogin) -> Option<Who> {
    let id = format!("{}.{}", alink.product_key, alink.device_name);
    let signed = super::login::alink::signed(&id, &alink.device_name, &alink.product_key, None);
    let secret = alink.device_secret.newest()?;
    let mac = verify::hmac_sha256(secret, &[signed.as_bytes()]);
    Some(Who {
        client_id: format!("{id}|securemode=2,signmethod=hmacsha256|"),
        username: Some(format!("{}&{}", alink.device_name, alink.product_key)),
        password: Some(Secret::new(hex_of(&mac))),
    })
}

fn hex_of(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// One filter for all: the levels they have in common, and whatever follows.
fn common(filters: &[String]) -> String {
    let [first, others @ ..] = filters else {
        return "#".to_owned();
    };
    if others.is_empty() {
        return first.clone();
    }
    let mut levels: Vec<&str> = first.split('/').collect();
    for other in others {
        let same = levels
            .iter()
            .zip(other.split('/'))
            .take_while(|(a, b)| **a == *b && *b != "#")
            .count();
        levels.truncate(same);
    }
    levels.push("#");
    levels.join("/")
}

/// TLS or not, host, port.
fn address(url: &str) -> Option<(bool, String, u16)> {
    let (is_tls, rest) = match url.split_once("://")? {
        ("mqtts", rest) => (true, rest),
        ("mqtt", rest) => (false, rest),
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':'))
        }
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_host) {
        return None;
    }
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None if is_tls => 8883,
        None => 1883,
    };
    Some((is_tls, host.to_owned(), port))
}

fn listener(options: &Options, listen: &str, problems: &mut Problems) -> Option<MqttListener> {
    for (path, is_set) in [
        ("version", options.version.is_some()),
        ("client_id", options.client_id.is_some()),
        ("username", options.username.is_some()),
        ("password", options.password.is_some()),
        ("login.alink", options.login.alink.is_some()),
        ("share", options.share.is_some()),
    ] {
        problems.require(!is_set, path, "is for `url`: the listener is not a client");
    }
    problems.require(
        options.ordering == Ordering::Device,
        "ordering",
        "is for `url`: the listener keeps the order of every device",
    );
    let tls = options.cert.as_ref().zip(options.key.as_ref());
    problems.require(
        options.ca.is_none() || tls.is_some(),
        "ca",
        "needs `cert` and `key`: devices show certificates over TLS only",
    );
    let listen: SocketAddr = match listen.parse() {
        Ok(listen) => listen,
        Err(_) => {
            problems.add("listen", "must be an address and a port, `0.0.0.0:8883`");
            return None;
        }
    };
    Some(MqttListener {
        listen,
        tls: tls.map(|(cert, key)| (PathBuf::from(cert), PathBuf::from(key))),
        client_ca: options.ca.as_ref().map(PathBuf::from),
        packet_bytes_max: options.packet_bytes_max.in_memory(),
        connections_max: options.connections_max,
        connections_per_address_max: options.connections_per_address_max,
        connect_timeout: options.connect_timeout.get(),
        keep_alive_max: options.keep_alive.get(),
        in_flight_max: options.in_flight_max,
        messages_per_minute: options.messages_per_minute,
        messages_burst: options.messages_burst,
    })
}
