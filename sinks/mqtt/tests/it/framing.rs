//! Whatever bytes come: no panic, no memory beyond the bound, and an end.

use patchbay_mqtt::{Conn, ConnError, Malformed, Packet};
use patchbay_sdk::MqttVersion;
use proptest::{collection::vec, prelude::*};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::arbitrary::{packet, version};

const BYTES_MAX: usize = 8 * 1024;
/// What a connection may hold at any time: a packet at its bound and one step of reading.
const MEMORY_MAX: usize = BYTES_MAX + 2 * 16 * 1024;

/// Feeds bytes in pieces, as a listener would get them; answers how it ended.
fn feed(version: Option<MqttVersion>, bytes: &[u8], piece: usize) -> ConnError {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (near, mut far) = duplex(64);
        let writing = async {
            for piece in bytes.chunks(piece) {
                if far.write_all(piece).await.is_err() {
                    break;
                }
            }
            drop(far);
        };
        let reading = async {
            let mut conn = Conn::new(
                Box::new(near),
                version.unwrap_or(MqttVersion::V4),
                BYTES_MAX,
            );
            if version.is_none()
                && let Err(error) = conn.read_connect().await
            {
                return error;
            }
            loop {
                let read = conn.read().await;
                assert!(
                    conn.n_memory() <= MEMORY_MAX,
                    "{} bytes held",
                    conn.n_memory()
                );
                if let Err(error) = read {
                    return error;
                }
            }
        };
        tokio::join!(writing, reading).1
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_end_well(
        version in proptest::option::of(version()),
        bytes in vec(any::<u8>(), 0..600),
        piece in 1_usize..64,
    ) {
        feed(version, &bytes, piece);
    }

    #[test]
    fn packets_that_were_tampered_with_end_well(
        (version, packets) in version().prop_flat_map(|v| (Just(v), vec(packet(v), 1..4))),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        piece in 1_usize..200,
    ) {
        let mut bytes = encoded(version, &packets);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        feed(Some(version), &bytes, piece);
        feed(None, &bytes, piece);
    }
}

fn encoded(version: MqttVersion, packets: &[Packet]) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (near, mut far) = duplex(1 << 20);
        let mut conn = Conn::new(Box::new(near), version, usize::MAX);
        for packet in packets {
            conn.put(packet).unwrap();
        }
        conn.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        far.read_to_end(&mut bytes).await.unwrap();
        bytes
    })
}

#[tokio::test]
async fn a_length_that_is_only_claimed_costs_nothing() {
    let (near, mut far) = duplex(64 * 1024);
    let mut conn = Conn::new(Box::new(near), MqttVersion::V5, 256 << 20);
    // A PUBLISH of 200 MiB, of which ten bytes come.
    far.write_all(&[0x30, 0x80, 0x80, 0x80, 0x64])
        .await
        .unwrap();
    far.write_all(&[0; 10]).await.unwrap();
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), conn.read()).await;
    assert!(waiting.is_err(), "the rest has not come");
    assert!(
        conn.n_memory() <= 64 * 1024,
        "{} bytes held",
        conn.n_memory()
    );
}

#[tokio::test]
async fn an_idle_connection_holds_next_to_nothing() {
    let (near, mut far) = duplex(1 << 20);
    let mut conn = Conn::new(Box::new(near), MqttVersion::V5, 1 << 20);
    let mut large = vec![0x30, 0x80, 0x80, 0x02, 0, 1, b'a', 0];
    large.resize(4 + 0x8000, 0);
    far.write_all(&large).await.unwrap();
    assert!(matches!(conn.read().await.unwrap(), Packet::Publish(publish) if publish.topic == "a"));
    for _ in 0..10 {
        far.write_all(&[0xc0, 0]).await.unwrap();
        assert_eq!(conn.read().await.unwrap(), Packet::PingReq);
        conn.put(&Packet::PingResp).unwrap();
        conn.flush().await.unwrap();
    }
    assert!(conn.n_memory() <= 1024, "{} bytes held", conn.n_memory());
}

#[tokio::test]
async fn a_packet_past_the_bound_is_refused_by_its_first_bytes() {
    let (near, mut far) = duplex(64);
    let mut conn = Conn::new(Box::new(near), MqttVersion::V4, BYTES_MAX);
    far.write_all(&[0x30, 0xff, 0xff, 0x7f]).await.unwrap();
    let refused = conn.read().await;
    assert!(
        matches!(
            refused,
            Err(ConnError::Malformed(Malformed::TooLarge { .. }))
        ),
        "{refused:?}"
    );
}
