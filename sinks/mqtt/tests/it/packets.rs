//! What is written is what is read, in both versions; and the bytes that others send.

use patchbay_mqtt::{Conn, ConnError, Malformed, Packet, reason, version_of};
use patchbay_sdk::MqttVersion;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::arbitrary::{packet, version};

const BYTES_MAX: usize = 1 << 20;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap().block_on(future)
}

/// What a connection reads from these bytes.
async fn read(version: MqttVersion, bytes: &[u8]) -> Result<Packet, ConnError> {
    let (near, mut far) = duplex(1 << 20);
    far.write_all(bytes).await.unwrap();
    far.shutdown().await.unwrap();
    Conn::new(Box::new(near), version, BYTES_MAX).read().await
}

/// The bytes of a packet.
async fn written(version: MqttVersion, packet: &Packet) -> Vec<u8> {
    let (near, mut far) = duplex(1 << 20);
    let mut conn = Conn::new(Box::new(near), version, BYTES_MAX);
    conn.put(packet).unwrap();
    conn.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.unwrap();
    bytes
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        (version, packet) in version().prop_flat_map(|v| (Just(v), packet(v))),
    ) {
        block_on(async {
            let bytes = written(version, &packet).await;
            if matches!(packet, Packet::Connect(_)) {
                assert_eq!(version_of(&bytes), Ok(version));
            }
            assert_eq!(read(version, &bytes).await.unwrap(), packet);
        });
    }
}

#[tokio::test]
async fn a_disconnect_may_be_empty_or_say_why() {
    let goodbye = |reason| Packet::Disconnect { reason };
    for (version, bytes, expected) in [
        (MqttVersion::V4, &[0xe0, 0][..], 0),
        (MqttVersion::V5, &[0xe0, 0], 0),
        (MqttVersion::V5, &[0xe0, 1, 0x04], 4),
        (MqttVersion::V5, &[0xe0, 2, 0x8e, 0], 0x8e),
    ] {
        assert_eq!(read(version, bytes).await.unwrap(), goodbye(expected));
    }
    let taken_over = written(MqttVersion::V5, &goodbye(reason::TAKEN_OVER)).await;
    assert_eq!(taken_over, [0xe0, 1, 0x8e]);
    assert_eq!(written(MqttVersion::V4, &goodbye(0)).await, [0xe0, 0]);
}

#[tokio::test]
async fn a_refusal_is_said_in_the_words_of_the_version() {
    let words = [
        (reason::BAD_LOGIN, 4),
        (reason::NOT_AUTHORIZED, 5),
        (reason::VERSION, 1),
        (reason::CLIENT_ID, 2),
        (reason::CONNECT_RATE, 3),
    ];
    for (code, in_v4) in words {
        let refusal = Packet::ConnAck(Box::new(patchbay_mqtt::ConnAck {
            reason: code,
            ..Default::default()
        }));
        assert_eq!(
            written(MqttVersion::V4, &refusal).await,
            [0x20, 2, 0, in_v4]
        );
        assert_eq!(
            written(MqttVersion::V5, &refusal).await[..4],
            [0x20, 3, 0, code]
        );
    }
    let refused = Packet::PubAck {
        id: 7,
        reason: reason::NOT_AUTHORIZED,
    };
    assert_eq!(
        written(MqttVersion::V5, &refused).await,
        [0x40, 4, 0, 7, 0x87, 0]
    );
}

#[tokio::test]
async fn the_version_is_told_by_the_first_packet() {
    let v4 = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0];
    let mut other = v4;
    other[8] = 6;
    let old = [
        0x10, 14, 0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, 2, 0, 60, 0, 0,
    ];
    assert_eq!(version_of(&v4), Ok(MqttVersion::V4));
    assert_eq!(version_of(&other), Err(Malformed::Version(6)));
    assert_eq!(version_of(&old), Err(Malformed::Version(3)));
    for stranger in [
        &b"GET / HTTP/1.1\r\n"[..],
        &[],
        &[0x10],
        &[0x16, 3, 1, 2, 0],
    ] {
        assert!(matches!(version_of(stranger), Err(Malformed::Form(_))));
    }
}
