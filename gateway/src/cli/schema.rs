//! `patchbay schema`: the JSON Schemas of what travels and of what is configured.

use std::process::ExitCode;

use patchbay_sdk::Kind;

pub(super) fn print(what: &str, kinds: &[Kind]) -> anyhow::Result<ExitCode> {
    let schema = match what {
        "envelope" => schemars::schema_for!(patchbay_message::Envelope),
        "config" => patchbay_config::config_schema(),
        "channel" => patchbay_config::channel_schema(),
        id => match kinds.iter().find(|kind| kind.manifest.id == id) {
            Some(kind) => (kind.schema)(),
            None => {
                let known: Vec<&str> = kinds.iter().map(|kind| kind.manifest.id).collect();
                anyhow::bail!(
                    "there is no schema `{id}`; there are: envelope, config, channel, {}",
                    known.join(", ")
                );
            }
        },
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(ExitCode::SUCCESS)
}
