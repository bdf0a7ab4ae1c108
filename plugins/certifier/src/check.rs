//! What is wrong with a configuration, found out by asking the API: one sentence for each mistake,
//! under its key. What may be right again by itself is a warning.

use certdock_plugin_api::{CaHandler as _, ConfigNote, Fault, Host};
use certdock_plugin_http::{CREDENTIALS, NO_CONNECTION, NOT_WORKING};

use crate::chain::UNKNOWN_CA;
use crate::client::UNKNOWN_PROFILE;
use crate::{Certifier, Config};

pub(crate) fn check(config: &Config, host: &Host) -> Vec<ConfigNote> {
    let handler = match Certifier::open(config.clone(), host.clone()) {
        Ok(handler) => handler,
        Err(fault) => return vec![ConfigNote::error(fault.code, fault.public)],
    };
    match handler.health() {
        Ok(()) => unknown_profiles(&handler, config),
        Err(fault) => vec![unusable(config, &fault)],
    }
}

fn unusable(config: &Config, fault: &Fault) -> ConfigNote {
    let (host, said) = (&config.api_host, &fault.private);
    match fault.code.as_str() {
        NO_CONNECTION if said.contains("certificate") => ConfigNote::remote(
            "ca_bundle",
            format!("the TLS certificate of {host} is not trusted ({said}); name its CA's file"),
        ),
        NO_CONNECTION => ConfigNote::warning(
            if config.proxy.is_some() {
                "proxy"
            } else {
                "api_host"
            },
            format!(
                "{host} can't be reached ({said}); correct the address or start its REST service"
            ),
        ),
        NOT_WORKING => ConfigNote::warning(
            "api_host",
            format!("{host} does not work ({said}); see to its REST service"),
        ),
        CREDENTIALS => ConfigNote::remote(
            "api_password",
            format!("Certifier does not accept `api_user` with it ({said}); correct them"),
        ),
        UNKNOWN_CA => ConfigNote::remote(
            "ca_name",
            format!(
                "Certifier shows `api_user` no CA \"{}\"; correct the name",
                config.ca_name
            ),
        ),
        _ => ConfigNote::remote(
            "api_host",
            format!("{host} does not speak Certifier's REST API ({said}); correct the address"),
        ),
    }
}

/// The API lists no profiles. So a request is made that can't succeed, for it has no PKCS #10, and
/// what the CA complains of tells whether it knows the profile.
fn unknown_profiles(handler: &Certifier, config: &Config) -> Vec<ConfigNote> {
    let complaint = |id: &str| {
        let issuer = handler.issuer().ok()?;
        let answer = handler.api.request(&issuer.href, &[], Some(id)).err();
        answer.filter(|fault| fault.code == UNKNOWN_PROFILE)
    };
    let keys = config.profile_keys().into_iter();
    keys.filter_map(|(key, id)| {
        let said = complaint(id)?.private;
        let message = format!("Certifier does not know the profile \"{id}\" ({said}); correct it");
        Some(ConfigNote::remote(key, message))
    })
    .collect()
}
