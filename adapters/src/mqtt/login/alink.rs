//! The login of Aliyun IoT's devices: a signature over client id and names.

use patchbay_sdk::{MqttLogin, Reject, Verified, verify};

use crate::mqtt::options::AlinkLogin;

/// `{device name}&{product key}`.
pub(super) fn username(alink: &AlinkLogin) -> String {
    format!("{}&{}", alink.device_name, alink.product_key)
}

/// What Aliyun's devices sign: names and values one after another, in alphabetical order.
pub(in crate::mqtt) fn signed(
    client_id: &str,
    device_name: &str,
    product_key: &str,
    timestamp: Option<&str>,
) -> String {
    let timestamp = timestamp
        .map(|at| format!("timestamp{at}"))
        .unwrap_or_default();
    format!("clientId{client_id}deviceName{device_name}productKey{product_key}{timestamp}")
}

/// `{id}|securemode=2,signmethod=hmacsha1,timestamp=789|` signs itself, the names and the time.
pub(super) fn check(alink: &AlinkLogin, given: MqttLogin<'_>) -> Result<Verified, Reject> {
    let (id, rest) = given
        .client_id
        .split_once('|')
        .ok_or(Reject::Unauthorized)?;
    let rest = rest.strip_suffix('|').unwrap_or(rest);
    let parameter = |name: &str| {
        let mut pairs = rest.split(',').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let at = parameter("timestamp");
    let text = signed(id, &alink.device_name, &alink.product_key, at);
    let mac = hex::decode(given.password.unwrap_or_default());
    let mac = mac.map_err(|_| Reject::Unauthorized)?;
    let keys = alink.device_secret.all();
    match parameter("signmethod") {
        None | Some("hmacsha1") => verify::check_hmac_sha1(keys, &[text.as_bytes()], &mac),
        Some("hmacsha256") => verify::check_hmac_sha256(keys, &[text.as_bytes()], &mac),
        Some(_) => Err(Reject::Unauthorized),
    }
}
