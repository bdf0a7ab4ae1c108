//! [`keep`]: which files no handler's worker gets a right to merely because its configuration names
//! something near them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use certdock_plugin_api::SecretRef;

use super::{Config, Handler, Store, Tls};
use crate::handlers::Secrets;

/// This program, as it was started: the kernel calls it something else once it has been replaced.
static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::current_exe().ok());

/// Tells each handler. `base` is where the configuration is.
pub(super) fn keep(config: &mut Config, base: &Path) {
    let own = own(config, base);
    let apart = apart(config);
    let secrets: BTreeMap<_, _> = config
        .handlers
        .iter()
        .map(|(name, handler)| (name.clone(), secrets(handler)))
        .collect();
    for (name, handler) in &mut config.handlers {
        let its_own = secrets.get(name).map(Vec::as_slice).unwrap_or_default();
        // Handlers may share one.
        let others = secrets.values().flatten();
        let others = others.filter(|secret| !its_own.contains(secret)).cloned();
        handler.keep_out = own.iter().cloned().chain(others).collect();
        handler.keep_out.push(handler.base_dir.clone());
        handler.apart.clone_from(&apart);
    }
}

/// What is nobody's but the server's.
fn own(config: &Config, base: &Path) -> Vec<PathBuf> {
    let Store::Sqlite(database) = &config.store;
    let mut own = vec![
        base.to_owned(),
        database.clone(),
        config.plugins.directory.clone(),
        config.admin.socket.clone(),
    ];
    if let Tls::Files { certificate, key } = &config.server.tls {
        own.extend([certificate.clone(), key.clone()]);
    }
    let authorities = config.est.values().filter_map(|label| label.ra.as_ref());
    own.extend(authorities.map(|ra| ra.key.clone()));
    // What could be put in its place would be started next time, unconfined.
    own.extend(PROGRAM.clone());
    own
}

/// Certificates and lists that may well be in a CA's own folder, with its own.
fn apart(config: &Config) -> Vec<PathBuf> {
    let mut apart = Vec::new();
    for label in config.est.values() {
        apart.extend(label.ra.iter().map(|ra| ra.certificate.clone()));
        apart.extend(label.client_ca.iter().chain(&label.client_crl).cloned());
    }
    apart
}

/// The files of the secrets that a handler's tables name.
fn secrets(handler: &Handler) -> Vec<PathBuf> {
    let mut secrets = Secrets::named_in(&handler.config, handler.base_dir.clone()).files();
    if let Some(SecretRef::File(file)) = &handler.push_secret {
        secrets.push(handler.base_dir.join(file));
    }
    // In the same order each time: handlers are compared.
    secrets.sort();
    secrets
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;

    #[test]
    fn handlers_are_kept_from_what_is_the_servers_and_from_each_others_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        std::fs::create_dir(base.join("tls")).unwrap();
        let files = [
            "ra.pem",
            "ra.key",
            "anchor.pem",
            "anchor.crl",
            "tls/own.pem",
            "tls/own.key",
        ];
        for file in files {
            std::fs::write(base.join(file), "").unwrap();
        }
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:8443"
[server.tls]
certificate = "{base}/tls/own.pem"
key = "{base}/tls/own.key"
[store]
url = "sqlite:{base}/data/certdock.db"
[plugins]
directory = "{base}/plugins"
[handlers.one]
plugin = "one"
push_secret = {{ file = "{base}/one/push" }}
[handlers.one.config]
password = {{ file = "{base}/one/password" }}
shared = {{ file = "{base}/shared" }}
[handlers.two]
plugin = "two"
[handlers.two.config]
shared = {{ file = "{base}/shared" }}
[est.devices]
handler = "one"
names = ["*.est.test"]
client_ca = "{base}/anchor.pem"
client_crl = "{base}/anchor.crl"
ra_certificate = "{base}/ra.pem"
ra_key = "{base}/ra.key"
"#,
            base = base.display()
        );
        let config = read(&text).unwrap();
        let program = std::env::current_exe().unwrap();
        let kept = |handler: &str, file: &str| {
            let kept = &config.handlers[handler].keep_out;
            kept.contains(&base.join(file))
        };
        for handler in ["one", "two"] {
            for file in [
                "tls/own.key",
                "tls/own.pem",
                "data/certdock.db",
                "plugins",
                "ra.key",
            ] {
                assert!(kept(handler, file), "{handler}: {file}");
            }
            assert!(config.handlers[handler].keep_out.contains(&program));
            for file in ["ra.pem", "anchor.pem", "anchor.crl"] {
                assert!(!kept(handler, file), "{handler}: {file}");
                let apart = &config.handlers[handler].apart;
                assert!(apart.contains(&base.join(file)), "{handler}: {file}");
            }
            assert!(!kept(handler, "shared"), "{handler}");
        }
        for file in ["one/push", "one/password"] {
            assert!(!kept("one", file) && kept("two", file), "{file}");
        }
    }
}
