//! How values stand in columns: ids as 16 bytes, times as seconds, lists and nested values as JSON,
//! chains of certificates packed.

use certdock_plugin_api::{Protocol, Requester};
use rusqlite::Row;
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use crate::time::UnixTime;

/// Reads the columns of a row one after the other.
pub(super) struct Columns<'r, 's> {
    row: &'r Row<'s>,
    next: usize,
}

impl<'r, 's> Columns<'r, 's> {
    pub(super) fn of(row: &'r Row<'s>) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn value<T: FromSql>(&mut self) -> Result<T, Fault> {
        let index = self.next;
        self.next += 1;
        Ok(self.row.get(index)?)
    }

    /// An id, made by its `from_bytes`.
    pub(super) fn id<T>(&mut self, make: impl FnOnce([u8; 16]) -> T) -> Result<T, Fault> {
        self.value().map(make)
    }

    pub(super) fn optional_id<T>(
        &mut self,
        make: impl FnOnce([u8; 16]) -> T,
    ) -> Result<Option<T>, Fault> {
        Ok(self.value::<Option<[u8; 16]>>()?.map(make))
    }

    pub(super) fn time(&mut self) -> Result<UnixTime, Fault> {
        self.value().map(UnixTime::from_secs)
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<UnixTime>, Fault> {
        Ok(self.value::<Option<i64>>()?.map(UnixTime::from_secs))
    }

    /// A text that is parsed where it lies.
    pub(super) fn text<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Fault> {
        let index = self.next;
        self.next += 1;
        let text = self.row.get_ref(index)?.as_str().map_err(unreadable)?;
        parse(text).ok_or_else(|| Fault::Corrupt(format!("'{text}' in column {index}")))
    }

    /// Bytes that are parsed where they lie.
    pub(super) fn blob<T>(&mut self, parse: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, Fault> {
        let index = self.next;
        self.next += 1;
        let bytes = self.row.get_ref(index)?.as_blob().map_err(unreadable)?;
        parse(bytes).ok_or_else(|| Fault::Corrupt(format!("the bytes in column {index}")))
    }

    pub(super) fn parsed<T: std::str::FromStr>(&mut self) -> Result<T, Fault> {
        self.text(|text| text.parse().ok())
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        self.optional_json()?
            .ok_or_else(|| Fault::corrupt("a value is missing"))
    }

    pub(super) fn optional_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Fault> {
        let index = self.next;
        self.next += 1;
        let text = self
            .row
            .get_ref(index)?
            .as_str_or_null()
            .map_err(unreadable)?;
        text.map(|text| serde_json::from_str(text).map_err(unreadable))
            .transpose()
    }
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> Fault {
    Fault::Corrupt(error.to_string())
}

pub(super) fn json(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(unreadable)
}

/// A LIMIT.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Ids as JSON, in hexadecimal, the form that SQL can take apart with `json_each` and `unhex`.
pub(super) fn hex_ids<'a>(ids: impl Iterator<Item = &'a [u8; 16]>) -> String {
    let mut text = String::from("[");
    for (index, id) in ids.enumerate() {
        text.push_str(if index == 0 { "\"" } else { ",\"" });
        for byte in id {
            for nibble in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(nibble.into(), 16));
            }
        }
        text.push('"');
    }
    text.push(']');
    text
}

/// The reverse of [`hex_ids`].
pub(super) fn ids_from_hex<T>(text: &str, make: impl Fn([u8; 16]) -> T) -> Option<Vec<T>> {
    let digits: Vec<&str> = serde_json::from_str(text).ok()?;
    let id = |digits: &&str| {
        let number = u128::from_str_radix(digits, 16).ok()?;
        (digits.len() == 32).then(|| make(number.to_be_bytes()))
    };
    digits.iter().map(id).collect()
}

pub(super) fn protocol_text(protocol: Protocol) -> Result<&'static str, Fault> {
    Ok(match protocol {
        Protocol::Acme => "acme",
        Protocol::Est => "est",
        Protocol::Internal => "internal",
        _ => return Err(Fault::corrupt("a protocol that has no name")),
    })
}

pub(super) fn protocol_of(text: &str) -> Option<Protocol> {
    Some(match text {
        "acme" => Protocol::Acme,
        "est" => Protocol::Est,
        "internal" => Protocol::Internal,
        _ => return None,
    })
}

/// [`Requester`] as it is stored; its own type belongs to the plugin boundary.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum StoredRequester {
    AcmeAccount {
        account: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        eab_key_id: Option<String>,
    },
    EstUser {
        name: String,
    },
    ClientCertificate {
        certificate: Vec<u8>,
    },
    Host,
}

impl TryFrom<Requester> for StoredRequester {
    type Error = Fault;

    fn try_from(requester: Requester) -> Result<Self, Fault> {
        Ok(match requester {
            Requester::AcmeAccount {
                account,
                eab_key_id,
            } => Self::AcmeAccount {
                account,
                eab_key_id,
            },
            Requester::EstUser { name } => Self::EstUser { name },
            Requester::ClientCertificate { certificate } => Self::ClientCertificate { certificate },
            Requester::Host => Self::Host,
            _ => return Err(Fault::corrupt("a requester that has no name")),
        })
    }
}

impl From<StoredRequester> for Requester {
    fn from(stored: StoredRequester) -> Self {
        match stored {
            StoredRequester::AcmeAccount {
                account,
                eab_key_id,
            } => Self::AcmeAccount {
                account,
                eab_key_id,
            },
            StoredRequester::EstUser { name } => Self::EstUser { name },
            StoredRequester::ClientCertificate { certificate } => {
                Self::ClientCertificate { certificate }
            }
            StoredRequester::Host => Self::Host,
        }
    }
}

/// Chains of DER certificates in one value: for each chain the number of its certificates, for each
/// certificate its length and its bytes; numbers have four bytes, big-endian.
pub(super) fn pack_chains<'a>(
    chains: impl Iterator<Item = &'a Vec<Vec<u8>>>,
) -> Result<Vec<u8>, Fault> {
    let number = |n: usize| {
        u32::try_from(n)
            .map(u32::to_be_bytes)
            .map_err(|_| Fault::corrupt("a chain is too long"))
    };
    let mut packed = Vec::new();
    for chain in chains {
        packed.extend(number(chain.len())?);
        for der in chain {
            packed.extend(number(der.len())?);
            packed.extend(der);
        }
    }
    Ok(packed)
}

pub(super) fn unpack_chains(mut packed: &[u8]) -> Option<Vec<Vec<Vec<u8>>>> {
    let mut chains = Vec::new();
    while !packed.is_empty() {
        let mut chain = Vec::new();
        for _ in 0..take_number(&mut packed)? {
            let length = take_number(&mut packed)?;
            let (der, rest) = packed.split_at_checked(length)?;
            packed = rest;
            chain.push(der.to_vec());
        }
        chains.push(chain);
    }
    Some(chains)
}

fn take_number(packed: &mut &[u8]) -> Option<usize> {
    let (number, rest) = packed.split_first_chunk()?;
    *packed = rest;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chains_survive_packing(
            chains: Vec<Vec<Vec<u8>>>,
        ) {
            let packed = pack_chains(chains.iter()).unwrap();
            prop_assert_eq!(unpack_chains(&packed), Some(chains));
        }

        #[test]
        fn no_bytes_make_unpacking_fail_badly(packed: Vec<u8>) {
            if let Some(chains) = unpack_chains(&packed) {
                prop_assert_eq!(pack_chains(chains.iter()).unwrap(), packed);
            }
        }

        #[test]
        fn ids_survive_their_hexadecimal_form(ids: Vec<[u8; 16]>) {
            let text = hex_ids(ids.iter());
            prop_assert_eq!(ids_from_hex(&text, |id| id), Some(ids));
        }
    }

    #[test]
    fn what_is_no_list_of_ids_is_refused() {
        for text in [
            "",
            "[1]",
            "[\"00\"]",
            "[\"+0000000000000000000000000000000\"]x",
        ] {
            assert_eq!(ids_from_hex(text, |id| id), None, "{text}");
        }
    }
}
