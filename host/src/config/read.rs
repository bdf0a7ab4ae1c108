//! From the merged tree to [`Config`]: every table, its keys, their defaults and bounds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::mistake::{Mistake, Mistakes};
use super::own_files;
use super::section::Section;
use super::tree::{Node, Tree, Value, join};
use super::value::{OneOrMore, to_json};
use super::{
    Admin, Config, Handler, Limits, Origin, Places, Server, Store, Tls, Validation, endpoint, est,
    isolation, plugins,
};
use crate::handlers::{OnUnknown, Patience};
use crate::ids::HandlerName;

const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 14000);
const DEFAULT_ADMIN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 14001);
/// What fits in a socket's address (unix(7)), less its final zero.
const SOCKET_PATH_MAX: usize = 107;

/// Reads the whole. `base` is what paths that nobody wrote are relative to.
pub(super) fn config(tree: &Tree, base: &std::path::Path) -> Result<Config, Mistakes> {
    let found = RefCell::new(Vec::new());
    let mut root = Section::root(tree, &found);

    let handlers = handlers(&mut root);
    let admin = admin(root.section("admin"), base);
    let server = server(root.section("server"), &handlers, &admin);
    let store = store(root.section("store"), base);
    let plugins = plugins::plugins(root.section("plugins"), base);
    let validation = validation(root.section("validation"));
    let acme = endpoint::acme(&mut root, &handlers);
    let est = est::est(&mut root, &handlers);
    root.finish();

    let mut found = found.into_inner();
    found.sort_by(by_place);
    Mistakes::check(found)?;
    // A section is `None` only where a mistake was noted.
    let (Some(server), Some(store)) = (server, store) else {
        return Err(Mistake::new(None, "", "the configuration is incomplete").into());
    };
    let handlers = handlers
        .into_iter()
        .filter_map(|(name, handler)| Some((name, handler?)));
    let mut config = Config {
        handlers: handlers.collect(),
        server,
        store,
        plugins,
        admin,
        validation,
        acme,
        est,
        places: Places::of(tree),
    };
    own_files::keep(&mut config, base);
    Ok(config)
}

fn by_place(a: &Mistake, b: &Mistake) -> std::cmp::Ordering {
    let key = |mistake: &Mistake| {
        let place = mistake.place.clone();
        place.map(|place| (place.file, place.line))
    };
    key(a).cmp(&key(b))
}

/// Handlers by name; `None` is one whose table has a mistake.
pub(super) type Handlers = BTreeMap<HandlerName, Option<Handler>>;

fn server(mut section: Section<'_>, handlers: &Handlers, admin: &Admin) -> Option<Server> {
    let listen = section
        .get::<OneOrMore<SocketAddr>>("listen")
        .map_or_else(|| vec![DEFAULT_LISTEN], |listen| listen.0);
    let http = section.get::<SocketAddr>("http");
    distinct(&section, &listen, http, admin);
    let base_url = base_url(&mut section, &listen);
    let tls = tls(section.section("tls"), handlers);
    let limits = limits(section.section("limits"));
    section.finish();
    Some(Server {
        listen,
        http,
        base_url: base_url?,
        tls: tls?,
        limits,
    })
}

/// Two listeners on one address: the second could not be opened.
fn distinct(section: &Section<'_>, listen: &[SocketAddr], http: Option<SocketAddr>, admin: &Admin) {
    let mut seen = vec![(admin.listen, "admin.listen")];
    let others = listen.iter().map(|address| (*address, "listen"));
    for (address, key) in others.chain(http.map(|address| (address, "http"))) {
        // Port 0 is a fresh port each time.
        let twin = seen
            .iter()
            .find(|(other, _)| *other == address && address.port() != 0);
        if let Some((_, other)) = twin {
            let text = format!("{address} is taken by {other} already; choose another port");
            section.wrong(key, text);
        }
        seen.push((address, key));
    }
}

fn base_url(section: &mut Section<'_>, listen: &[SocketAddr]) -> Option<String> {
    const REMEDY: &str = "write https://, a host name and, if it is not 443, a port: \
        \"https://acme.example.com\"";
    if !section.has("base_url") {
        let port = listen.first().map_or(443, SocketAddr::port);
        return Some(match port {
            443 => "https://localhost".to_owned(),
            port => format!("https://localhost:{port}"),
        });
    }
    let text = section.get::<String>("base_url")?;
    let bare = text.strip_suffix('/').unwrap_or(&text);
    let fine = bare.parse::<http::Uri>().is_ok_and(|uri| {
        let plain = uri.authority().is_some_and(|authority| {
            !authority.as_str().contains('@') && !authority.host().is_empty()
        });
        plain
            && uri.scheme_str() == Some("https")
            && uri.path() == "/"
            && uri.query().is_none()
            && !bare.ends_with('/')
    });
    if fine {
        return Some(bare.to_ascii_lowercase());
    }
    section.wrong(
        "base_url",
        format!("'{text}' can't begin our URLs; {REMEDY}"),
    );
    None
}

fn tls(mut section: Section<'_>, handlers: &Handlers) -> Option<Tls> {
    let certificate = section.get::<PathBuf>("certificate");
    let key = section.get::<PathBuf>("key");
    let handler = section.get::<HandlerName>("handler");
    if let Some(handler) = &handler {
        known_handler(&section, "handler", handler, handlers);
    }
    let (has_certificate, has_key) = (section.has("certificate"), section.has("key"));
    let has_handler = section.has("handler");
    match (has_certificate, has_key, has_handler) {
        (true, true, false) | (false, false, true) => {}
        (true, false, false) => section.wrong_here("the certificate has no key; add key = \"FILE\""),
        (false, true, false) => {
            section.wrong_here("the key has no certificate; add certificate = \"FILE\"");
        }
        (_, _, true) => section.wrong(
            "handler",
            "files and a handler are both given; keep certificate and key, or handler",
        ),
        (false, false, false) => section.wrong_here(
            "the server needs a certificate; write certificate and key, or handler = \"NAME\" to have \
             one made",
        ),
    }
    for (name, path) in [("certificate", &certificate), ("key", &key)] {
        if let Some(path) = path {
            existing_file(&section, name, path);
        }
    }
    section.finish();
    match (certificate, key, handler) {
        (Some(certificate), Some(key), _) => Some(Tls::Files { certificate, key }),
        (_, _, handler) => handler.map(Tls::Handler),
    }
}

/// Notes a mistake unless the file that `section` names in `key` is there.
pub(super) fn existing_file(section: &Section<'_>, key: &str, path: &std::path::Path) {
    if !path.is_file() {
        let text = format!(
            "there is no file {}; put it there or name another",
            path.display()
        );
        section.wrong(key, text);
    }
}

/// Notes a mistake unless the handler that `section` names in `key` is configured.
pub(super) fn known_handler(
    section: &Section<'_>,
    key: &str,
    handler: &HandlerName,
    handlers: &Handlers,
) {
    if handlers.contains_key(handler) {
        return;
    }
    let hint = super::mistake::suggest(handler.as_str(), handlers.keys().map(HandlerName::as_str));
    section.wrong(
        key,
        format!("there is no handler '{handler}': add [handlers.{handler}] or name another{hint}"),
    );
}

fn limits(mut section: Section<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        connections: section.number("connections", default.connections, 1..=1_000_000),
        body: section.number("body", default.body, 4096..=1024 * 1024),
        head: section.number("head", default.head, 8192..=256 * 1024),
        head_timeout: section.get_or("head_timeout", default.head_timeout),
        request_timeout: section.get_or("request_timeout", default.request_timeout),
        shutdown: section.get_or("shutdown", default.shutdown),
    };
    section.finish();
    limits
}

fn store(mut section: Section<'_>, base: &std::path::Path) -> Option<Store> {
    const REMEDY: &str = "write \"sqlite:PATH\", \"sqlite:data/certdock.db\" for example";
    let store = match section.get::<String>("url") {
        None if section.has("url") => None,
        None => Some(Store::Sqlite(base.join("data/certdock.db"))),
        Some(url) => {
            match url.split_once(':') {
                Some(("sqlite", path)) if !path.is_empty() && !path.starts_with("//") => {
                    let folder = section.place().map(|_| section.place_of("url"));
                    let path = match folder.flatten() {
                        Some(place) => place.resolve(path),
                        None => base.join(path),
                    };
                    Some(Store::Sqlite(path))
                }
                Some(("postgres" | "postgresql", _)) => {
                    section.wrong(
                    "url",
                    format!("PostgreSQL is not available yet, it comes with a later release; {REMEDY}"),
                );
                    None
                }
                // The URL may hold a password, so it is not repeated.
                _ => {
                    section.wrong(
                        "url",
                        format!("this names no store that is known; {REMEDY}"),
                    );
                    None
                }
            }
        }
    };
    section.finish();
    store
}

fn admin(mut section: Section<'_>, base: &std::path::Path) -> Admin {
    use std::os::unix::ffi::OsStrExt as _;
    let socket = section.get_or("socket", base.join("data/admin.sock"));
    let length = socket.as_os_str().as_bytes().len();
    if length > SOCKET_PATH_MAX {
        section.wrong(
            "socket",
            format!(
                "{} has {length} bytes, and a socket's path at most {SOCKET_PATH_MAX}; choose a shorter one",
                socket.display()
            ),
        );
    }
    let listen = section.get_or("listen", DEFAULT_ADMIN);
    section.finish();
    Admin { socket, listen }
}

fn validation(mut section: Section<'_>) -> Validation {
    let validation = Validation {
        resolver: section.get("resolver"),
        http01_port: section.get_or("http01_port", 80),
        tls_alpn01_port: section.get_or("tls_alpn01_port", 443),
        redirect_ports: section.get_or("redirect_ports", vec![80, 443]),
        allow: section.get_or("allow", Vec::new()),
        deny: section.get_or("deny", Vec::new()),
        timeout: section.get_or("timeout", Duration::from_secs(10)),
        concurrency: section.number("concurrency", 64, 1..=10_000),
    };
    section.finish();
    validation
}

pub(super) fn handlers(root: &mut Section<'_>) -> Handlers {
    let mut handlers = Handlers::new();
    for (name, section) in root.named("handlers") {
        match name.parse() {
            Ok(name) => {
                handlers.insert(name, handler(section));
            }
            Err(wrong) => section.wrong_here(wrong),
        }
    }
    handlers
}

fn handler(mut section: Section<'_>) -> Option<Handler> {
    let plugin = section.required(
        "plugin",
        "name a plugin's id; `certdock plugin list` shows them",
    );
    let place = isolation::isolation(&mut section);
    let limits = isolation::limits(section.section("limits"), place);
    let deadline = section.get_or("deadline", Duration::from_secs(30));
    let threads = section.number("threads", 4, 1..=256);
    let queue = section.number("queue", 256, 1..=100_000);
    let patience = patience(&mut section);
    let push_secret = section.get("push_secret");
    let config = section.tree("config").cloned().unwrap_or_default();
    let origin = origin(&section);
    section.finish();
    Some(Handler {
        plugin: plugin?,
        isolation: place,
        limits,
        deadline,
        threads,
        queue,
        patience,
        push_secret,
        config: to_json(&Value::Table(config)).to_string(),
        base_dir: origin.file.parent().map(PathBuf::from).unwrap_or_default(),
        keep_out: Vec::new(),
        apart: Vec::new(),
        origin,
    })
}

fn patience(section: &mut Section<'_>) -> Patience {
    let default = Patience::default();
    let on_unknown = section.word(
        "on_unknown",
        default.on_unknown,
        &[("hold", OnUnknown::Hold), ("retry", OnUnknown::Retry)],
    );
    let poll_interval = section.get_or("poll_interval", default.poll_interval);
    if poll_interval.is_zero() {
        section.wrong(
            "poll_interval",
            "polling needs a pause; write at least \"1s\"",
        );
    }
    let slowest_poll = section.get_or("slowest_poll", default.slowest_poll.max(poll_interval));
    if slowest_poll < poll_interval {
        section.wrong(
            "slowest_poll",
            "the slowest rhythm is faster than poll_interval; write at least as much",
        );
    }
    Patience {
        on_unknown,
        poll_interval,
        slowest_poll,
        give_up_after: section.get_or("give_up_after", default.give_up_after),
    }
}

fn origin(section: &Section<'_>) -> Origin {
    let mut origin = Origin {
        key: section.path().to_owned(),
        ..Origin::default()
    };
    if let Some(place) = section.place() {
        origin.file = place.file.to_path_buf();
        origin.line = place.line;
    }
    if let Some(tree) = section.whole() {
        collect_lines(tree, "", &mut origin.keys);
    }
    origin
}

fn collect_lines(tree: &Tree, path: &str, lines: &mut BTreeMap<String, usize>) {
    for (name, node) in &tree.0 {
        collect_line(node, join(path, name), lines);
    }
}

fn collect_line(node: &Node, path: String, lines: &mut BTreeMap<String, usize>) {
    match &node.value {
        Value::Table(tree) => collect_lines(tree, &path, lines),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_line(item, format!("{path}[{index}]"), lines);
            }
        }
        _ => {}
    }
    lines.insert(path, node.place.line);
}
