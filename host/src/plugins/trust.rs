//! [`Trust`]: whose code may run in the server, decided before any of it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use minisign_verify::{PublicKey, Signature};

use super::place;
use super::plugin::Inspection;
use super::refusal::Refusal;
use super::signature;
use crate::ids::PluginId;

/// What an operator demands of plugins. What is configured is always checked: a pin that is there
/// must fit, and so must a signature beside a file if there are keys. `require` says what must be
/// there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    pub require: Requirement,
    pub ownership: Ownership,
    /// SHA-256 of files, in lower-case hexadecimal. Several for one plugin let it be upgraded, and
    /// the upgrade be undone.
    pub pins: BTreeMap<PluginId, Vec<String>>,
    /// Whose signatures count.
    pub keys: Vec<VendorKey>,
}

/// What a file must have beside its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requirement {
    #[default]
    None,
    Pin,
    Signature,
}

/// Whether others than trusted users could change the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Who may own the file and the folders above it, beside root and the server's own user.
    Checked {
        owners: BTreeSet<u32>,
    },
    Unchecked,
}

impl Default for Ownership {
    fn default() -> Self {
        Self::Checked {
            owners: BTreeSet::new(),
        }
    }
}

/// A vendor's public key in minisign's format.
#[derive(Clone)]
pub struct VendorKey {
    text: String,
    key: PublicKey,
}

impl VendorKey {
    /// The second line of a minisign public key file: 56 characters of base64.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self {
            text: text.to_owned(),
            key: PublicKey::from_base64(text).ok()?,
        })
    }
}

impl PartialEq for VendorKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for VendorKey {}

impl fmt::Debug for VendorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a file is trusted.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trusted {
    /// It lies where only trusted users can put it.
    ByPlace,
    /// Anybody may have put it there.
    Unchecked,
    Pinned,
    /// By this key. The comment is the signer's, and signed too.
    Signed {
        key: String,
        comment: String,
    },
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByPlace => "by its place",
            Self::Unchecked => "unchecked",
            Self::Pinned => "pinned",
            Self::Signed { .. } => "signed",
        })
    }
}

impl Trust {
    /// Decides about a file that was read and not yet loaded. Blocks.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(&self, inspected: &Inspection) -> Result<Trusted, Refusal> {
        if let Ownership::Checked { owners } = &self.ownership {
            place::check(&inspected.file, inspected.owner, owners)?;
        }
        let pinned = self.pinned(inspected)?;
        let signed = self.signed(inspected)?;
        match self.require {
            Requirement::Pin if !pinned => {
                return Err(Refusal::NotPinned {
                    id: inspected.note.id.clone(),
                    sha256: inspected.sha256.clone(),
                });
            }
            Requirement::Signature if signed.is_none() => {
                return Err(Refusal::NotSigned(signature::file(&inspected.file)));
            }
            Requirement::None | Requirement::Pin | Requirement::Signature => {}
        }
        Ok(match (signed, pinned, &self.ownership) {
            (Some(signed), _, _) => signed,
            (None, true, _) => Trusted::Pinned,
            (None, false, Ownership::Checked { .. }) => Trusted::ByPlace,
            (None, false, Ownership::Unchecked) => Trusted::Unchecked,
        })
    }

    fn pinned(&self, inspected: &Inspection) -> Result<bool, Refusal> {
        match self.pins.get(&inspected.note.id) {
            None => Ok(false),
            Some(pins) if pins.contains(&inspected.sha256) => Ok(true),
            Some(_) => Err(Refusal::OtherPin {
                id: inspected.note.id.clone(),
                sha256: inspected.sha256.clone(),
            }),
        }
    }

    fn signed(&self, inspected: &Inspection) -> Result<Option<Trusted>, Refusal> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let file = signature::file(&inspected.file);
        let refuse = |reason| Refusal::BadSignature {
            file: file.clone(),
            reason,
        };
        let text = match signature::read(&inspected.file) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(None),
            Err(error) => return Err(Refusal::UnreadableSignature { file, error }),
        };
        let signature =
            Signature::decode(&text).map_err(|_| refuse("it is not in minisign's format"))?;
        for key in &self.keys {
            // Not the legacy form, which signs the file itself instead of its digest.
            match key.key.verify(&inspected.bytes, &signature, false) {
                Ok(()) => {
                    return Ok(Some(Trusted::Signed {
                        key: key.text.clone(),
                        comment: super::refusal::first_line(signature.trusted_comment()),
                    }));
                }
                Err(minisign_verify::Error::UnexpectedKeyId) => {}
                Err(minisign_verify::Error::UnsupportedLegacyMode) => {
                    return Err(refuse("it is in minisign's legacy form"));
                }
                Err(_) => return Err(refuse("it is not of this file")),
            }
        }
        Err(refuse(
            "it was made with a key that [plugins] keys does not have",
        ))
    }
}

#[cfg(test)]
mod tests;
