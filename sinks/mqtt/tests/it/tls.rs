//! TLS both ways: the broker's certificate is checked, and a device's name is read from its own.

use std::{path::PathBuf, sync::Arc};

use patchbay_mqtt::{client_config, common_name, server_config};
use patchbay_sdk::MqttTls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

struct Files {
    folder: TempDir,
}

impl Files {
    /// An authority, a server's certificate for `localhost`, and one of a device.
    fn new() -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        files.write("ca.pem", &authority.pem());
        for (name, host) in [("server", "localhost"), ("冷柜-7", "device.example")] {
            let mut params = CertificateParams::new([host.to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            files.write(&format!("{name}.pem"), &certificate.pem());
            files.write(&format!("{name}.key"), &key.serialize_pem());
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, pem: &str) {
        std::fs::write(self.path(name), pem).unwrap();
    }
}

/// The common name the server saw, if the handshake went well.
async fn shake(files: &Files, host: &str, tls: &MqttTls) -> Option<Option<String>> {
    let (near, far) = duplex(64 * 1024);
    let (cert, key, ca) = (
        files.path("server.pem"),
        files.path("server.key"),
        files.path("ca.pem"),
    );
    let acceptor = TlsAcceptor::from(server_config(&cert, &key, Some(&ca)).unwrap());
    let connector = TlsConnector::from(client_config(tls).unwrap());
    let host = rustls_pki_types::ServerName::try_from(host.to_owned()).unwrap();
    let server = async {
        let mut stream = acceptor.accept(far).await.ok()?;
        let shown = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(<[_]>::first);
        let name = shown.and_then(common_name);
        stream.write_all(b"x").await.ok()?;
        stream.flush().await.ok()?;
        Some(name)
    };
    let client = async {
        let mut stream = connector.connect(host, near).await.ok()?;
        stream.read_u8().await.ok()
    };
    let (name, answered) = tokio::join!(server, client);
    answered.and(name)
}

#[tokio::test]
async fn names_are_checked_and_read() {
    drop(
        Arc::unwrap_or_clone(Arc::new(rustls::crypto::ring::default_provider())).install_default(),
    );
    let files = Files::new();
    let anonymous = MqttTls {
        ca: Some(files.path("ca.pem")),
        client: None,
    };
    let device = MqttTls {
        client: Some((files.path("冷柜-7.pem"), files.path("冷柜-7.key"))),
        ..anonymous.clone()
    };
    assert_eq!(shake(&files, "localhost", &anonymous).await, Some(None));
    assert_eq!(
        shake(&files, "localhost", &device).await,
        Some(Some("冷柜-7".to_owned()))
    );
    assert_eq!(
        shake(&files, "elsewhere", &anonymous).await,
        None,
        "another name"
    );
    let strangers = Files::new();
    let stranger = MqttTls {
        ca: Some(strangers.path("ca.pem")),
        client: None,
    };
    assert_eq!(
        shake(&files, "localhost", &stranger).await,
        None,
        "another authority"
    );
}

#[test]
fn a_missing_file_is_named() {
    let tls = MqttTls {
        ca: Some("/nowhere/ca.pem".into()),
        client: None,
    };
    let error = client_config(&tls).unwrap_err();
    assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
}
