//! TLS as the URL's `sslmode` asks for it, against a server that takes nothing else.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use patchbay_message::InstanceId;
use patchbay_store::{PostgresOptions, PostgresStore, StoreError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::{beside, server::Server};
use crate::world::{LONG, until};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Lets the server speak TLS only, with a certificate for 127.0.0.1.
async fn only_tls(server: &Server, authority: &CertifiedIssuer<'_, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let data = server.data();
    write(&data.join("server.crt"), &certificate.pem());
    write(&data.join("server.key"), &key.serialize_pem());
    let admin = beside(&server.url()).await;
    write(
        &data.join("pg_hba.conf"),
        "hostssl all all 127.0.0.1/32 trust\n",
    );
    admin
        .batch_execute("ALTER SYSTEM SET ssl = on")
        .await
        .unwrap();
    admin
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    until("plain connections are refused", async || {
        let plain = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await;
        plain.err()
    })
    .await;
}

/// Writes a file that is the server's own.
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let like = format!("--reference={}", path.parent().unwrap().display());
    let owned = Command::new("chown").arg(like).arg(path).status();
    assert!(owned.unwrap().success());
}

/// Whether the store can be used by this URL.
async fn used(url: &str) -> Result<(), StoreError> {
    let store = PostgresStore::connect(url, PostgresOptions::default()).await?;
    use patchbay_store::Leases as _;
    store.lease("timers", &InstanceId::new(), LONG).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_spoken_as_sslmode_says() {
    let server = Server::start();
    let ours = authority();
    only_tls(&server, &ours).await;
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("ca.pem");
    std::fs::write(&trusted, ours.pem()).unwrap();
    let foreign = folder.path().join("other.pem");
    std::fs::write(&foreign, authority().pem()).unwrap();

    let url = server.url();
    used(&format!("{url}?sslmode=require")).await.unwrap();
    used(&format!("{url}?sslmode=prefer")).await.unwrap();
    used(&url).await.unwrap();
    let verified = format!(
        "{url}?sslmode=verify-full&sslrootcert={}",
        trusted.display()
    );
    used(&verified).await.unwrap();

    used(&format!("{url}?sslmode=disable")).await.unwrap_err();
    let unknown = used(&format!("{url}?sslmode=verify-full"))
        .await
        .unwrap_err();
    assert!(unknown.0.contains("certificate"), "{unknown}");
    used(&format!("{url}?sslrootcert={}", foreign.display()))
        .await
        .unwrap_err();
    let other_name = verified.replace("127.0.0.1", "localhost");
    used(&other_name).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_not_done_without_where_it_is_required() {
    let server = Server::start();
    used(&server.url()).await.unwrap();
    let refused = used(&format!("{}?sslmode=require", server.url())).await;
    refused.unwrap_err();
}
