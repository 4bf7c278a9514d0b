//! Devices that connect to our own listener: who they are, and which topics are theirs.

pub(super) mod alink;
mod topics;

use std::collections::HashMap;

use patchbay_message::Party;
use patchbay_sdk::{
    Ask, Decoded, MqttLogin, Reject, Reply, Secret, Session, Verified,
    expr::{Expr, Scope, Variables},
    mapping::{Compiler, is_id},
    options::Secrets,
    verify,
};
use serde_json::Value;

use super::{
    Fleet,
    address::Shape,
    options::{AlinkLogin, Device, Options},
};
use topics::{Own, Topics};

/// Where a connection's memory keeps what it may publish to.
pub(super) const PUBLISH: &str = "publish";

/// Devices of one channel that have a login of their own; more are derived.
const DEVICES_MAX: usize = 10_000;
/// Bytes of the shortest password: people type them into devices.
const PASSWORD_BYTES_MIN: usize = 8;
/// Bytes of the shortest token: nothing else says who it is.
const TOKEN_BYTES_MIN: usize = 16;
/// Bytes of the shortest secret that others are derived of.
const SECRET_BYTES_MIN: usize = 32;
/// What a derived device's address may name.
const DERIVED_NAMES: &[&str] = &["username", "client_id"];
/// Bytes of a login name or client id that is looked at.
const NAME_BYTES_MAX: usize = 512;

/// Everybody who may connect.
#[derive(Debug, Default)]
pub(super) struct Logins {
    devices: Vec<Known>,
    by_username: HashMap<String, usize>,
    by_certificate: HashMap<String, usize>,
    /// By digest: a token is never compared byte by byte.
    by_token: HashMap<[u8; 32], usize>,
    derived: Option<Derivation>,
}

#[derive(Debug)]
struct Known {
    /// Its place in the list of the file.
    place: usize,
    address: String,
    client_id: Option<String>,
    proof: Proof,
    certificate: Option<String>,
    topics: Topics,
}

#[derive(Debug)]
enum Proof {
    Password(Secrets),
    Token(Secrets),
    Certificate,
    Alink(AlinkLogin),
}

#[derive(Debug)]
struct Derivation {
    secret: Secrets,
    address: Option<Expr>,
    topics: Topics,
}

impl Logins {
    pub(super) fn compile(options: &Options, shape: &Shape, compiler: &mut Compiler<'_>) -> Self {
        let mut logins = Self::default();
        if options.listen.is_none() {
            return logins;
        }
        let n = options.devices.len();
        let problems = &mut compiler.problems;
        problems.require(
            n > 0 || options.derived.is_some(),
            "devices",
            "says who may connect: at least one device, or `derived`",
        );
        let sentence = format!("{DEVICES_MAX} devices at most; `derived` has no bound");
        problems.require(n <= DEVICES_MAX, "devices", &sentence);
        for (i, device) in options.devices.iter().enumerate() {
            logins.add(i, device, options, shape, compiler);
        }
        logins.derived = options.derived.as_ref().map(|derived| {
            let problems = &mut compiler.problems;
            problems.secrets("derived.secret", &derived.secret, SECRET_BYTES_MIN);
            let scope = Scope {
                variables: DERIVED_NAMES,
                fields: &[],
            };
            let address = compiler.maybe("derived.address", derived.address.as_ref(), scope);
            let lists = (derived.publish.as_ref(), derived.subscribe.as_ref());
            Derivation {
                secret: derived.secret.clone(),
                address,
                topics: Topics::compile("derived", lists, shape, compiler),
            }
        });
        logins
    }

    fn add(
        &mut self,
        place: usize,
        device: &Device,
        options: &Options,
        shape: &Shape,
        compiler: &mut Compiler<'_>,
    ) {
        let path = format!("devices.{place}");
        let at = |key: &str| format!("{path}.{key}");
        let i = self.devices.len();
        let lists = (device.publish.as_ref(), device.subscribe.as_ref());
        let topics = Topics::compile(&path, lists, shape, compiler);
        let problems = &mut compiler.problems;
        let Some((proof, usual)) = proof(&path, device, problems) else {
            return;
        };
        let address = device.address.clone().unwrap_or(usual);
        problems.require(
            is_id(&address) && address != Party::SYSTEM,
            &at("address"),
            "must not be empty or have control characters",
        );
        let is_new = !self.devices.iter().any(|other| other.address == address);
        problems.require(is_new, &at("address"), "is another device's too");
        if device.certificate.is_some() {
            let sentence = "needs `ca`, by which certificates are checked";
            problems.require(options.ca.is_some(), &at("certificate"), sentence);
        }
        let mut unique = |key: &str, is_taken: bool| {
            problems.require(!is_taken, &at(key), "is another device's too");
        };
        let username = match &proof {
            Proof::Alink(alink) => Some(alink::username(alink)),
            _ => device.username.clone(),
        };
        if let Some(username) = username {
            unique("username", self.by_username.insert(username, i).is_some());
        }
        if let Proof::Token(tokens) = &proof {
            for token in tokens.all() {
                let digest = verify::digest(token.expose().as_bytes());
                unique("token", self.by_token.insert(digest, i).is_some());
            }
        }
        if let Some(name) = &device.certificate {
            let taken = self.by_certificate.insert(name.clone(), i).is_some();
            unique("certificate", taken);
        }
        self.devices.push(Known {
            place,
            address,
            client_id: device.client_id.clone(),
            proof,
            certificate: device.certificate.clone(),
            topics,
        });
    }

    /// The devices' addresses, by their place in the file.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (usize, &str)> {
        let devices = self.devices.iter();
        devices.map(|known| (known.place, known.address.as_str()))
    }

    /// Who it is, how that was proven, and which topics are theirs.
    fn find(&self, given: MqttLogin<'_>) -> Result<(String, Verified, &Topics), Reject> {
        let username = given.username.unwrap_or_default();
        let too_long = |text: &str| text.len() > NAME_BYTES_MAX;
        if too_long(username) || too_long(given.client_id) {
            return Err(Reject::Unauthorized);
        }
        let known = self
            .by_username
            .get(username)
            .or_else(|| self.by_token.get(&verify::digest(username.as_bytes())))
            .or_else(|| self.by_certificate.get(given.certificate?));
        if let Some(known) = known.and_then(|i| self.devices.get(*i)) {
            return Ok((known.address.clone(), known.check(given)?, &known.topics));
        }
        let Some(derived) = &self.derived else {
            // As long as a wrong password takes.
            return verify::by_password(&[Secret::new("nobody")], &[])
                .and(Err(Reject::Unauthorized));
        };
        let proof = derived.check(username, given.password.unwrap_or_default())?;
        let address = derived.address(username, given.client_id)?;
        Ok((address, proof, &derived.topics))
    }
}

/// How a device proves itself, and the address it has by default.
fn proof(
    path: &str,
    device: &Device,
    problems: &mut patchbay_sdk::options::Problems,
) -> Option<(Proof, String)> {
    let at = |key: &str| format!("{path}.{key}");
    match (
        &device.username,
        &device.password,
        &device.token,
        &device.alink,
    ) {
        (Some(username), Some(password), None, None) => {
            problems.secrets(&at("password"), password, PASSWORD_BYTES_MIN);
            let is_good = is_id(username);
            problems.require(is_good, &at("username"), "must not be empty");
            Some((Proof::Password(password.clone()), username.clone()))
        }
        (None, None, Some(token), None) => {
            problems.secrets(&at("token"), token, TOKEN_BYTES_MIN);
            let sentence = "is needed: a token is a secret and names nobody";
            problems.require(device.address.is_some(), &at("address"), sentence);
            Some((Proof::Token(token.clone()), String::new()))
        }
        (None, None, None, Some(alink)) => {
            let usual = format!("{}/{}", alink.product_key, alink.device_name);
            Some((Proof::Alink(alink.clone()), usual))
        }
        (None, None, None, None) if device.certificate.is_some() => {
            let usual = device.certificate.clone().unwrap_or_default();
            Some((Proof::Certificate, usual))
        }
        _ => {
            problems.add(
                path,
                "a device has one login: `username` and `password`, `token`, `alink` or `certificate`",
            );
            None
        }
    }
}

impl Known {
    fn check(&self, given: MqttLogin<'_>) -> Result<Verified, Reject> {
        let is_client = self
            .client_id
            .as_ref()
            .is_none_or(|id| id == given.client_id);
        if !is_client {
            return Err(Reject::Unauthorized);
        }
        let password = given.password.unwrap_or_default();
        let by_certificate = self
            .certificate
            .as_ref()
            .map(|name| verify::by_certificate(name, given.certificate));
        let by_certificate = by_certificate.transpose()?;
        match &self.proof {
            Proof::Password(accepted) => verify::by_password(accepted.all(), password),
            Proof::Token(accepted) => {
                let username = given.username.unwrap_or_default();
                verify::by_password(accepted.all(), username.as_bytes())
            }
            Proof::Certificate => by_certificate.ok_or(Reject::Unauthorized),
            Proof::Alink(alink) => alink::check(alink, given),
        }
    }
}

impl Derivation {
    fn check(&self, username: &str, password: &[u8]) -> Result<Verified, Reject> {
        // One form only: what is derived is written in lower case.
        let is_lower = password
            .iter()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
        let mac = hex::decode(password).ok().filter(|_| is_lower);
        let mac = mac.ok_or(Reject::Unauthorized)?;
        verify::check_own_token(self.secret.all(), &[username.as_bytes()], &mac)
    }

    fn address(&self, username: &str, client_id: &str) -> Result<String, Reject> {
        let address = match &self.address {
            None => username.to_owned(),
            Some(expr) => {
                let mut variables = Variables::default();
                variables.set_text("username", Some(username));
                variables.set_text("client_id", Some(client_id));
                let address = expr.text(&variables).ok().flatten();
                address.ok_or(Reject::Unauthorized)?
            }
        };
        if is_id(&address) && address != Party::SYSTEM {
            Ok(address)
        } else {
            Err(Reject::Unauthorized)
        }
    }
}

impl Fleet {
    pub(super) fn login(
        &self,
        session: &mut Session,
        given: MqttLogin<'_>,
    ) -> Result<Decoded, Reject> {
        if !self.is_live() {
            return Err(Reject::NotFound);
        }
        let (address, proof, topics) = self.logins.find(given)?;
        let own = Own {
            fleet: self,
            address: &address,
            given,
        };
        let publish = own.publish(topics)?;
        let subscribe = own.subscribe(topics)?;
        let party = Party {
            address: address.clone(),
            verified: true,
            ..Party::default()
        };
        let filters = publish.iter().map(|filter| Value::from(filter.as_str()));
        session.memory.insert(PUBLISH.to_owned(), filters.collect());
        session.party = Some(party);
        Ok(Decoded::answer(proof, Reply::silence())
            .asking(Ask::Register { address, after: 0 })
            .asking(Ask::Topics { publish, subscribe }))
    }
}
