//! From a fresh socket to an open connection: who we are, what both sides can, which virtual host.

use amq_protocol::{
    protocol::{AMQPClass, connection},
    types::{AMQPValue, FieldTable, LongString, ShortString},
    uri::{AMQPUri, SASLMechanism},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    frames::{Frame, Frames, METHOD},
    socket::{Reading, Writing},
};

/// Frames are at most this long unless the broker wants less.
const FRAME_MAX: u32 = 128 * 1024;
/// AMQP channels at most on one connection.
const CHANNEL_MAX: u16 = 2047;

/// What was agreed upon.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreed {
    pub(super) frame_max: usize,
    pub(super) channel_max: u16,
    pub(super) heartbeat_s: u16,
}

/// Says hello and opens the virtual host.
pub(super) async fn shake_hands(
    reading: &mut Reading,
    writing: &mut Writing,
    uri: &AMQPUri,
    name: &str,
    heartbeat_s: u16,
) -> Result<Agreed, String> {
    writing
        .write_all(b"AMQP\x00\x00\x09\x01")
        .await
        .map_err(|error| error.to_string())?;
    match next(reading).await? {
        connection::AMQPMethod::Start(_) => {}
        other => return Err(unexpected(&other)),
    }
    say(writing, start_ok(uri, name)).await?;
    let tune = match next(reading).await? {
        connection::AMQPMethod::Tune(tune) => tune,
        other => return Err(unexpected(&other)),
    };
    // Zero stands for "no bound".
    let least = |theirs: u32, ours: u32| if theirs == 0 { ours } else { theirs.min(ours) };
    let frame_max = least(tune.frame_max, uri.query.frame_max.unwrap_or(FRAME_MAX));
    let channel_max = least(tune.channel_max.into(), CHANNEL_MAX.into());
    let channel_max = u16::try_from(channel_max).expect("the lesser of two u16");
    let tune_ok = connection::TuneOk {
        channel_max,
        frame_max,
        heartbeat: heartbeat_s,
    };
    say(writing, connection::AMQPMethod::TuneOk(tune_ok)).await?;
    let open = connection::Open {
        virtual_host: uri.vhost.as_str().into(),
    };
    say(writing, connection::AMQPMethod::Open(open)).await?;
    match next(reading).await? {
        connection::AMQPMethod::OpenOk(_) => Ok(Agreed {
            frame_max: frame_max as usize,
            channel_max,
            heartbeat_s,
        }),
        other => Err(unexpected(&other)),
    }
}

fn start_ok(uri: &AMQPUri, name: &str) -> connection::AMQPMethod {
    let mechanism = uri.query.auth_mechanism.unwrap_or_default();
    let user = &uri.authority.userinfo;
    let response = match mechanism {
        // The certificate says who we are.
        SASLMechanism::External => String::new(),
        _ => format!("\0{}\0{}", user.username, user.password),
    };
    let mut capabilities = FieldTable::default();
    for capability in [
        "publisher_confirms",
        "basic.nack",
        "connection.blocked",
        "consumer_cancel_notify",
        "authentication_failure_close",
    ] {
        capabilities.insert(capability.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(LongString::from(text));
    properties.insert("product".into(), text("patchbay"));
    properties.insert("version".into(), text(env!("CARGO_PKG_VERSION")));
    properties.insert("connection_name".into(), text(name));
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    connection::AMQPMethod::StartOk(connection::StartOk {
        client_properties: properties,
        mechanism: mechanism.name().into(),
        response: response.into(),
        locale: ShortString::from("en_US"),
    })
}

async fn say(writing: &mut Writing, method: connection::AMQPMethod) -> Result<(), String> {
    let mut frames = Frames::default();
    frames.method(0, AMQPClass::Connection(method));
    let said = async {
        writing.write_all(&frames.0).await?;
        writing.flush().await
    };
    said.await.map_err(|error| error.to_string())
}

/// The next method; the handshake is one frame at a time, so nothing is read beyond it.
async fn next(reading: &mut Reading) -> Result<connection::AMQPMethod, String> {
    let failed = |error: std::io::Error| match error.kind() {
        // Brokers that do not like the protocol header just hang up.
        std::io::ErrorKind::UnexpectedEof => "the broker hung up during the handshake".to_owned(),
        _ => error.to_string(),
    };
    loop {
        let mut bytes = vec![0; 7];
        reading.read_exact(&mut bytes).await.map_err(failed)?;
        if bytes.starts_with(b"AMQP") {
            return Err("the broker speaks another version of AMQP".to_owned());
        }
        let size = u32::from_be_bytes([bytes[3], bytes[4], bytes[5], bytes[6]]);
        if size > FRAME_MAX {
            return Err("what answers there is no AMQP broker".to_owned());
        }
        bytes.resize(8 + size as usize, 0);
        reading.read_exact(&mut bytes[7..]).await.map_err(failed)?;
        let frame =
            Frame::first(&bytes, FRAME_MAX as usize + 8).map_err(|error| error.to_string())?;
        let (frame, _) = frame.expect("a whole frame was read");
        if frame.kind != METHOD {
            continue;
        }
        match frame.method().map_err(|error| error.to_string())? {
            AMQPClass::Connection(connection::AMQPMethod::Close(close)) => {
                return Err(format!("{} {}", close.reply_code, close.reply_text));
            }
            AMQPClass::Connection(method) => return Ok(method),
            _ => return Err("the broker broke the handshake".to_owned()),
        }
    }
}

fn unexpected(method: &connection::AMQPMethod) -> String {
    match method {
        connection::AMQPMethod::Secure(_) => "the broker asks for more than a password".to_owned(),
        _ => "the broker broke the handshake".to_owned(),
    }
}
