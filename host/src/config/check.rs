//! What a configuration that reads well may still lack, and what an operator should know of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::mistake::{Mistake, suggest};
use super::{ChannelBinding, ClientAuth, Config, EabPolicy, EstLabel, Handler, Plugins};
use crate::ids::{EndpointName, HandlerName, PluginId};
use crate::plugins::{Isolation, Ownership};
use crate::worker::Paths;

/// The plugin of this handler is not among those whose id is `known`.
#[must_use]
pub fn missing_plugin(plugins: &Plugins, handler: &Handler, known: &BTreeSet<PluginId>) -> Mistake {
    let plugin = &handler.plugin;
    let hint = suggest(plugin.as_str(), known.iter().map(PluginId::as_str));
    let directory = plugins.directory.display();
    let text = format!("there is no plugin '{plugin}' in {directory}; put its file there{hint}");
    handler.origin.mistake("plugin", text)
}

/// Settings that decide who gets what, or who reaches what, each in one line.
#[must_use]
pub fn switches(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, endpoint) in &config.acme {
        let who = match endpoint.eab {
            EabPolicy::Off => "anybody may open an account (eab = \"off\")",
            EabPolicy::Optional => "anybody may open an account (eab = \"optional\")",
            EabPolicy::Required => "an account needs an external key (eab = \"required\")",
        };
        lines.push(format!("acme.{name}: {who}"));
        if endpoint.allowed_names.is_empty() {
            lines.push(format!(
                "acme.{name}: any name may be asked for (no allowed_names)"
            ));
        }
    }
    for (name, label) in &config.est {
        lines.extend(est_switches(name, label));
    }
    if config.plugins.trust.ownership == Ownership::Unchecked {
        lines.push(
            "plugins: whoever may write to their folder decides what runs (ownership = \
             \"unchecked\")"
                .to_owned(),
        );
    }
    let validation = &config.validation;
    for range in &validation.allow {
        lines.push(format!("validation: may dial addresses in {range} (allow)"));
    }
    if validation.http01_port != 80 {
        let port = validation.http01_port;
        lines.push(format!(
            "validation: http-01 dials port {port}, not 80 (http01_port)"
        ));
    }
    if validation.tls_alpn01_port != 443 {
        let port = validation.tls_alpn01_port;
        lines.push(format!(
            "validation: tls-alpn-01 dials port {port}, not 443 (tls_alpn01_port)"
        ));
    }
    if !config.admin.listen.ip().is_loopback() {
        let address = config.admin.listen;
        lines.push(format!(
            "admin: health and metrics can be read by others at {address} (listen)"
        ));
    }
    for (name, handler) in &config.handlers {
        lines.push(match handler.isolation {
            Isolation::Process => process_switch(name, handler),
            Isolation::InProcess { .. } => {
                format!("handlers.{name}: runs inside the server (isolation = \"in-process\")")
            }
        });
    }
    lines
}

/// Which files a handler in a process of its own may touch.
fn process_switch(name: &HandlerName, handler: &Handler) -> String {
    let Paths {
        read,
        write,
        withheld,
        ..
    } = Paths::of(&handler.setup(name));
    let list = |paths: &[PathBuf]| {
        let paths: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        paths.join(", ")
    };
    let mut line = format!("handlers.{name}: runs in a process of its own");
    if !write.is_empty() {
        line.push_str(&format!(", which may read and write {}", list(&write)));
    }
    if !read.is_empty() {
        line.push_str(&format!(", and read {}", list(&read)));
    }
    if !withheld.is_empty() {
        line.push_str(&format!(
            ", but not {}, where the server's own files or the system's are (limits.write)",
            list(&withheld)
        ));
    }
    line
}

fn est_switches(name: &EndpointName, label: &EstLabel) -> Vec<String> {
    let who = match label.auth {
        ClientAuth::Basic => "a client needs a user's password (auth = \"basic\")",
        ClientAuth::Certificate => "a client needs a certificate (auth = \"client-certificate\")",
        ClientAuth::Either => {
            "a client needs a user's password or a certificate (auth = [\"basic\", \"client-certificate\"])"
        }
        ClientAuth::Both => "a client needs a user's password and a certificate (auth = \"both\")",
    };
    let mut lines = vec![format!("est.{name}: {who}")];
    if !label.client_ca.is_empty() && label.client_crl.is_empty() {
        lines.push(format!(
            "est.{name}: revoked certificates of the CAs in client_ca are not known (no client_crl)"
        ));
    }
    for pattern in &label.names {
        lines.push(format!(
            "est.{name}: every client may ask for {pattern} (names)"
        ));
    }
    if label.change_subject {
        lines.push(format!(
            "est.{name}: a renewal may change the subject (change_subject)"
        ));
    }
    if label.channel_binding == ChannelBinding::Ignored {
        lines.push(format!(
            "est.{name}: channel bindings are not checked (channel_binding = \"ignored\")"
        ));
    }
    lines
}
