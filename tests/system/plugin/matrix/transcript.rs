//! What a host of `tests/fixtures/versions` prints of plugins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use certdock_tests::program::Program;

/// What came of one plugin in one host.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    /// What may differ.
    own: BTreeMap<String, String>,
    /// What must not.
    pub(super) told: Vec<String>,
}

impl Transcript {
    pub(super) fn own(&self, key: &str) -> &str {
        let value = self.own.get(key);
        value.unwrap_or_else(|| panic!("no {key} in {self:#?}"))
    }
}

/// Has a host load plugins and call all that they have.
pub(super) async fn load(host: &Path, plugins: &[PathBuf]) -> Vec<Transcript> {
    load_in(Program::new(host), plugins).await
}

/// The same with a host that is run by another program.
pub(super) async fn load_in(host: Program, plugins: &[PathBuf]) -> Vec<Transcript> {
    let outcome = host.args(plugins).run().await.success();
    let mut all: Vec<Transcript> = Vec::new();
    for line in outcome.stdout.lines() {
        match line
            .strip_prefix("own ")
            .and_then(|line| line.split_once(' '))
        {
            Some(("plugin", _)) => all.push(Transcript::default()),
            Some((key, value)) => {
                let own = &mut all.last_mut().unwrap().own;
                own.insert(key.to_owned(), value.to_owned());
            }
            None => all.last_mut().unwrap().told.push(line.to_owned()),
        }
    }
    all
}
