//! Commands against a running server, and without one.

use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory as _;

use super::client::{self, Client, segment};
use super::*;
use crate::admin::views::{ExternalKey, NewExternalKey, Page};
use crate::admin::{self, Admin};
use crate::server::UnixSocket;
use crate::store::sqlite::SqliteStore;

fn configuration(folder: &Path) -> Config {
    let text = "
        server.tls.handler = 'a'
        store.url = 'sqlite:test.db'
        admin.socket = 'admin.sock'
        handlers.a.plugin = 'p'
        acme.default.handler = 'a'
    ";
    config::parse(&folder.join("certdock.toml"), text).unwrap()
}

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn options_may_stand_anywhere() {
    for arguments in [
        &["certdock", "--config", "x", "cert", "list", "--json"][..],
        &["certdock", "cert", "list", "--json", "--config", "x"],
        &["certdock", "cert", "--config", "x", "list", "--json"],
    ] {
        let arguments = Arguments::try_parse_from(arguments).unwrap();
        assert_eq!(arguments.global.config.as_deref(), Some(Path::new("x")));
    }
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [
        &["certdock"][..],
        &["certdock", "frobnicate"],
        &["certdock", "account"],
        &["certdock", "account", "show"],
        &["certdock", "cert", "revoke", "x", "--reason", "whim"],
        &["certdock", "serve", "--log-format", "xml"],
    ] {
        let error = Arguments::try_parse_from(arguments).err().unwrap();
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
    }
}

#[test]
fn without_a_database_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path());
    let failure = client::with(&config, async |_| Ok(())).unwrap_err();
    assert!(failure.to_string().contains("certdock serve"), "{failure}");
}

/// Adds a key as one command, lists as another.
fn add_and_list(config: &Config, id: &str) -> Vec<String> {
    client::with(config, async |mut client: Client| {
        let request = NewExternalKey {
            endpoint: "default".to_owned(),
            id: Some(id.to_owned()),
        };
        let _: serde_json::Value = client.post("/external-keys", &request).await?;
        let page: Page<ExternalKey> = client.get("/external-keys").await?;
        Ok(page.items.into_iter().map(|key| key.id).collect())
    })
    .unwrap()
}

#[test]
fn a_server_and_no_server_answer_alike() {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path());
    drop(SqliteStore::open(folder.path().join("test.db")).unwrap());
    assert_eq!(add_and_list(&config, "first"), ["first"]);
    // As a killed server leaves it.
    drop(std::os::unix::net::UnixListener::bind(&config.admin.socket).unwrap());
    assert_eq!(add_and_list(&config, "second"), ["first", "second"]);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shutdown = crate::server::Shutdown::new();
    runtime.block_on(async {
        let socket = UnixSocket::bind(&config.admin.socket).unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("test.db")).unwrap());
        let router = admin::router(Admin::alone(&config, store));
        crate::server::serve_unix(socket, router, &config.server.limits, &shutdown);
    });
    assert_eq!(add_and_list(&config, "third"), ["first", "second", "third"]);
    let failure = client::with(&config, async |mut client: Client| {
        let path = format!("/accounts/{}", segment("a/b ?"));
        client.get::<serde_json::Value>(&path).await
    })
    .unwrap_err();
    assert!(
        failure.to_string().contains("no account 'a/b ?'"),
        "{failure}"
    );
}
