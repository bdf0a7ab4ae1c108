//! [`export_ca_handler!`](crate::export_ca_handler): makes a shared library a plugin.

use serde::de::DeserializeOwned;

use crate::fault::Fault;
use crate::handler::{CaHandler, ConfigNote};
use crate::host::Host;

/// Makes the crate (`crate-type = ["cdylib"]`) a plugin whose handlers are of one type.
///
/// ```
/// # use certdock_plugin_api::*;
/// # config! { pub struct Config {} }
/// # pub struct MyCa;
/// # impl CaHandler for MyCa {
/// #     type Config = Config;
/// #     fn open(_: Config, _: Host) -> Result<Self, Fault> { Ok(Self) }
/// #     fn enroll(&self, _: &EnrollRequest) -> Result<Enrollment, Fault> { Err(Fault::busy("")) }
/// #     fn ca_certs_get(&self) -> Result<CaCerts, Fault> { Err(Fault::busy("")) }
/// # }
/// export_ca_handler! {
///     handler: MyCa,
///     id: "my-ca",
///     vendor: "Example",
///     provides: [poll, revoke],
/// }
/// # fn main() {}
/// ```
///
/// - `handler`: the type that implements [`CaHandler`].
/// - `id`: what `[handlers.NAME] plugin` in the host's configuration names: lower-case letters,
///   digits and hyphens (not first), at most 64. Pick one that nobody else has, and keep it.
/// - `vendor`: who makes it, for people.
/// - `provides`: which of the optional abilities the handler has: `poll`, `recover`, `revoke`, `push`,
///   `health`, `crl`, `validate_config`, and the promises `idempotent` and `stateless`. For the host, one
///   that is not named does not exist.
///
/// The version is the crate's own. Use the macro once per library.
#[macro_export]
macro_rules! export_ca_handler {
    (
        handler: $handler:ty,
        id: $id:expr,
        vendor: $vendor:expr,
        provides: [$($ability:ident),* $(,)?] $(,)?
    ) => {
        const _: () = {
            struct Plugin;

            impl $crate::__private::Export for Plugin {
                type Handler = $handler;
                const ID: &'static str = $id;
                const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
                const VENDOR: &'static str = $vendor;
                const ABILITIES: &'static [&'static str] = &[$(::core::stringify!($ability)),*];
            }

            const _: () = $crate::__private::check::<Plugin>();

            const LINES: &[$crate::__private::Line<'_>] = &[
                ("id", &[$id]),
                ("version", &[::core::env!("CARGO_PKG_VERSION")]),
                ("vendor", &[$vendor]),
                ("api", &[$crate::abi::API_VERSION]),
                ("abi_stable", &[$crate::abi::CARRIER_VERSION]),
                ("panic", &[if ::core::cfg!(panic = "abort") { "abort" } else { "unwind" }]),
                ("target", $crate::__private::TARGET),
                ("provides", &[$(::core::stringify!($ability), " "),*]),
            ];

            #[used]
            #[unsafe(link_section = ".note.certdock")]
            static NOTE: $crate::__private::Note<{ $crate::__private::size(LINES) }> =
                $crate::__private::build(LINES);

            // `abi::ROOT_SYMBOL`
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static HEADER: $crate::__private::LibHeader = $crate::__private::header::<Plugin>();
        };
    };
}

/// What the macro knows of a plugin.
pub trait Export: Sized + 'static {
    /// The handler's type.
    type Handler: CaHandler;
    /// The plugin's id.
    const ID: &'static str;
    /// The plugin's version.
    const VERSION: &'static str;
    /// Its vendor.
    const VENDOR: &'static str;
    /// The names of the optional abilities.
    const ABILITIES: &'static [&'static str];
}

/// Longest id of a plugin, in bytes.
pub const MAX_ID: usize = 64;

/// Fails the build of a plugin whose description is wrong.
///
/// # Panics
/// At compile time.
pub const fn check<E: Export>() {
    assert!(
        is_id(E::ID),
        "a plugin's id is 1 to 64 lower-case letters, digits and hyphens, no hyphen first"
    );
    assert!(!E::VENDOR.is_empty(), "a plugin names its vendor");
    let mut abilities = E::ABILITIES;
    while let [ability, rest @ ..] = abilities {
        assert!(
            is_known(ability),
            "`provides` may name poll, recover, idempotent, stateless, revoke, push, \
             health, crl and validate_config"
        );
        abilities = rest;
    }
}

/// Whether this may be a plugin's id.
#[must_use]
pub const fn is_id(id: &str) -> bool {
    let mut letters = id.as_bytes();
    while let [letter, rest @ ..] = letters {
        if !matches!(letter, b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        letters = rest;
    }
    let begins_well = matches!(id.as_bytes(), [b'a'..=b'z' | b'0'..=b'9', ..]);
    begins_well && id.len() <= MAX_ID
}

// In `const` code there is no `==` for texts.
const fn is_known(ability: &str) -> bool {
    let ability = ability.as_bytes();
    matches!(
        ability,
        b"poll"
            | b"recover"
            | b"idempotent"
            | b"stateless"
            | b"revoke"
            | b"push"
            | b"health"
            | b"crl"
            | b"validate_config"
    )
}

pub(crate) fn schema_of<E: Export>() -> String {
    let schema = schemars::generate::SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<<E::Handler as CaHandler>::Config>();
    serde_json::to_string(&schema).unwrap_or_default()
}

/// Reads a configuration.
///
/// # Errors
/// `Misconfigured`: its `code` is the dotted path of the key it is about.
pub(crate) fn parse_config<C: DeserializeOwned>(json: &str) -> Result<C, Fault> {
    match parse(json) {
        Ok(config) => Ok(config),
        Err((key, message)) if key.is_empty() => Err(Fault::misconfigured(message)),
        Err((key, message)) => Err(Fault::misconfigured(format!("`{key}`: {message}")).code(key)),
    }
}

/// What `validate-config` answers: the parser's complaint, else the handler's.
pub(crate) fn check_config<H: CaHandler>(json: &str, host: &Host) -> Vec<ConfigNote> {
    match parse::<H::Config>(json) {
        Ok(config) => H::validate_config(&config, host),
        Err((key, message)) => vec![ConfigNote::error(key, message)],
    }
}

fn parse<C: DeserializeOwned>(json: &str) -> Result<C, (String, String)> {
    // By way of a `Value`, since its errors speak of no line or column: those would be the JSON's,
    // and what people wrote is TOML.
    let value: serde_json::Value = serde_json::from_str(json)
        .map_err(|error| (String::new(), format!("the host sent no JSON: {error}")))?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let key = match error.path().to_string() {
            root if root == "." => String::new(),
            key => key,
        };
        (key, error.into_inner().to_string())
    })
}
