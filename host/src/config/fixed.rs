//! What of a changed configuration takes a restart.

use super::Config;

/// Leaves in `wanted` as it is `in_force` what can't change while the server runs; the keys that would
/// have changed.
pub fn keep_fixed(in_force: &Config, wanted: &mut Config) -> Vec<&'static str> {
    let mut changed = Vec::new();
    let mut keep = |key, differs: bool| {
        if differs {
            changed.push(key);
        }
    };
    let (server, was) = (&wanted.server, &in_force.server);
    keep("server.listen", server.listen != was.listen);
    keep("server.http", server.http != was.http);
    keep("server.base_url", server.base_url != was.base_url);
    keep("server.tls", server.tls != was.tls);
    keep("server.limits", server.limits != was.limits);
    keep("store.url", wanted.store != in_force.store);
    keep("admin.socket", wanted.admin.socket != in_force.admin.socket);
    keep("admin.listen", wanted.admin.listen != in_force.admin.listen);
    wanted.server = in_force.server.clone();
    wanted.store = in_force.store.clone();
    wanted.admin = in_force.admin.clone();
    changed
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    const BEFORE: &str = "
        server.tls.handler = 'a'
        server.listen = '127.0.0.1:1'
        server.base_url = 'https://a.example'
        handlers.a.plugin = 'p'
        acme.default.handler = 'a'
    ";

    #[test]
    fn what_takes_a_restart_is_named_and_kept() {
        let read = |text: &str| parse(Path::new("/certdock.toml"), text).unwrap();
        let before = read(BEFORE);
        for (line, by, expect) in [
            ("127.0.0.1:1", "127.0.0.1:2", &["server.listen"][..]),
            ("a.example", "b.example", &["server.base_url"]),
            (
                "server.tls.handler",
                "server.http = '127.0.0.1:3'\nserver.tls.handler",
                &["server.http"],
            ),
            (
                "server.tls.handler",
                "server.limits.body = 10000\nserver.tls.handler",
                &["server.limits"],
            ),
            (
                "server.tls.handler",
                "store.url = 'sqlite:other'\nserver.tls.handler",
                &["store.url"],
            ),
            (
                "server.tls.handler",
                "admin.socket = 'other'\nserver.tls.handler",
                &["admin.socket"],
            ),
            (
                "server.tls.handler",
                "admin.listen = '127.0.0.1:4'\nserver.tls.handler",
                &["admin.listen"],
            ),
            (
                "server.tls.handler = 'a'",
                "handlers.b.plugin = 'p'\nserver.tls.handler = 'b'",
                &["server.tls"],
            ),
            ("plugin = 'p'", "plugin = 'q'", &[]),
            ("acme.default", "acme.other", &[]),
        ] {
            assert!(BEFORE.contains(line), "{line}");
            let mut after = read(&BEFORE.replace(line, by));
            assert_eq!(keep_fixed(&before, &mut after), expect, "{by}");
            assert_eq!(after.server, before.server, "{by}");
            assert_eq!(after.store, before.store, "{by}");
            assert_eq!(after.admin, before.admin, "{by}");
        }
    }

    #[test]
    fn a_handler_that_only_moved_is_the_same() {
        let read = |text: &str| parse(Path::new("/certdock.toml"), text).unwrap();
        let handler = |config: &Config| config.handlers.values().next().cloned().unwrap();
        let before = handler(&read(BEFORE));
        let moved = handler(&read(&format!("\n\n{BEFORE}")));
        assert!(before.is_like(&moved) && before != moved);
        let changed = read(&BEFORE.replace("= 'p'", "= 'p'\nhandlers.a.threads = 9"));
        assert!(!before.is_like(&handler(&changed)));
    }
}
