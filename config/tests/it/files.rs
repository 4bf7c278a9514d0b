use std::fs;
use std::path::Path;

use patchbay_config::{Files, Loader, channel_schema, config_schema};

#[test]
fn the_sample_folder_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = Files::read(folder).expect("readable");
    let loaded = Loader::new(folder, [])
        .load(&files)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(loaded.channels.iter().any(|channel| channel.id == "web"));
}

#[test]
fn only_configuration_is_read_and_a_revision_loads_like_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    fs::create_dir(folder.path().join("channels")).expect("made");
    write("patchbay.toml", "log.level = \"debug\"\n");
    write("Cargo.toml", "[package]\n");
    write(
        "channels/web.toml",
        "kind = \"webchat\"\nauth = \"token\"\n",
    );
    write("channels/.web.toml", "not ours");
    write("channels/web.toml~", "not ours");
    let files = Files::read(folder.path()).expect("readable");
    let names: Vec<_> = files.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["channels/web.toml", "patchbay.toml"]);

    let revision = serde_json::to_string(&files).expect("serializes");
    let files: Files = serde_json::from_str(&revision).expect("deserializes");
    let loaded = Loader::new(folder.path(), []).load(&files).expect("loads");
    assert_eq!(loaded.config.log.level, "debug");
    assert_eq!(loaded.channels[0].common.kind, "webchat");
}

#[test]
fn an_absent_folder_and_an_unreadable_file_are_mistakes() {
    let folder = tempfile::tempdir().expect("a folder");
    let absent = Files::read(&folder.path().join("nowhere")).expect_err("absent");
    assert!(
        absent
            .to_string()
            .contains("the config folder is not there"),
        "{absent}"
    );
    fs::write(folder.path().join("patchbay.toml"), [0xff, 0xfe]).expect("written");
    let binary = Files::read(folder.path()).expect_err("no text");
    assert!(binary.to_string().contains("UTF-8"), "{binary}");
    fs::write(
        folder.path().join("patchbay.toml"),
        " ".repeat(1024 * 1024 + 1),
    )
    .expect("written");
    let large = Files::read(folder.path()).expect_err("too large");
    assert!(large.to_string().contains("larger than"), "{large}");
}

#[test]
fn the_schemas_describe_every_key() {
    for schema in [config_schema(), channel_schema()] {
        let mut bare = Vec::new();
        undocumented(schema.as_value(), "", &mut bare);
        assert!(bare.is_empty(), "keys without a description: {bare:?}");
    }
}

fn undocumented(node: &serde_json::Value, path: &str, bare: &mut Vec<String>) {
    for (key, property) in node["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        if !property["description"].is_string() {
            bare.push(path.clone());
        }
        undocumented(property, &path, bare);
    }
    for (name, definition) in node["$defs"].as_object().into_iter().flatten() {
        undocumented(definition, name, bare);
    }
}
