//! What a person gets to see: values, and every mistake with its place.

mod anything;
mod environment;
mod files;
mod keys;
mod mistakes;
mod options;
mod secrets;

use patchbay_config::{Files, Loaded, Loader, Mistakes};

/// Loads files given as `(name, text)`, with this environment and no folder.
fn load(files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    loader(env).load(&texts(files))
}

fn loader(env: &[(&str, &str)]) -> Loader {
    let owned = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Loader::new("config", owned)
}

fn texts(files: &[(&str, &str)]) -> Files {
    let mut texts = Files::default();
    for (name, text) in files {
        texts.insert(*name, *text);
    }
    texts
}

/// The report of files that have mistakes.
fn report(files: &[(&str, &str)], env: &[(&str, &str)]) -> String {
    load(files, env)
        .expect_err("the files have mistakes")
        .to_string()
}
