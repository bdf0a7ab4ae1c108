//! What a client may ask for: the names of its user, of its certificate, and those that the label has
//! for everybody.

use super::Client;
use super::shown::Shown;
use crate::config::EstLabel;
use crate::est::status::Refusal;
use crate::x509::CertName;

/// All names that are asked for, if each is allowed.
pub(super) fn granted(
    config: &EstLabel,
    client: &Client,
    current: Option<&Shown>,
    names: Vec<CertName>,
) -> Result<Vec<CertName>, Refusal> {
    let names = kept(config, names)?;
    let own = current.filter(|_| config.certificate_names);
    for name in &names {
        let allowed = client.names.iter().any(|pattern| pattern.covers(name))
            || config.names.iter().any(|pattern| pattern.covers(name))
            || own.is_some_and(|own| own.names.contains(name));
        if !allowed {
            return Err(Refusal::forbidden(format!(
                "you may not ask for {name}: {}",
                reason(client, own)
            )));
        }
    }
    Ok(names)
}

/// All names that are asked for, where they are those of the current certificate: what the label denies is
/// denied to everybody.
pub(super) fn kept(config: &EstLabel, names: Vec<CertName>) -> Result<Vec<CertName>, Refusal> {
    if names.is_empty() {
        return Err(Refusal::malformed("the CSR names nothing"));
    }
    if names.len() > config.max_names {
        return Err(Refusal::malformed(format!(
            "the CSR has {} names; this label takes {} at most",
            names.len(),
            config.max_names
        )));
    }
    for name in &names {
        let wildcard = matches!(name, CertName::Dns(identifier) if identifier.wildcard);
        if wildcard && !config.wildcards {
            return Err(Refusal::forbidden(format!(
                "you may not ask for {name}: this label issues no wildcard certificates"
            )));
        }
        if config
            .denied_names
            .iter()
            .any(|pattern| pattern.touches(name))
        {
            return Err(Refusal::forbidden(format!(
                "you may not ask for {name}: this label denies it to everybody"
            )));
        }
    }
    Ok(names)
}

fn reason(client: &Client, own: Option<&Shown>) -> &'static str {
    match (&client.user, own) {
        (Some(_), None) => "it is none of your user's names, and none that everybody may have here",
        (Some(_), Some(_)) => {
            "it is neither your user's nor in your certificate, and none that everybody may have here"
        }
        (None, Some(_)) => "it is not in your certificate, and none that everybody may have here",
        (None, None) => "it is none that everybody may have here",
    }
}
