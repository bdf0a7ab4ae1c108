//! Taking DER apart, for the few CMS messages that clients send. Strict: definite lengths, small tags,
//! nothing left over.

/// One value: its tag, its whole encoding, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    pub(crate) tag: u8,
    pub(crate) tlv: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Item<'a> {
    /// The values in a constructed one of this tag.
    pub(crate) fn inside(&self, tag: u8) -> Option<Vec<Self>> {
        (self.tag == tag).then(|| items(self.value)).flatten()
    }

    /// The content of one of this tag.
    pub(crate) fn bytes(&self, tag: u8) -> Option<&'a [u8]> {
        (self.tag == tag).then_some(self.value)
    }
}

/// The one value that fills `bytes`.
pub(crate) fn item(bytes: &[u8]) -> Option<Item<'_>> {
    let (item, rest) = split(bytes)?;
    rest.is_empty().then_some(item)
}

/// All values in `bytes`, one behind the other.
pub(crate) fn items(mut bytes: &[u8]) -> Option<Vec<Item<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (item, rest) = split(bytes)?;
        found.push(item);
        bytes = rest;
    }
    Some(found)
}

fn split(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&[tag, first], mut rest) = bytes.split_first_chunk()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81..=0x83 => {
            let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = behind;
            digits
                .iter()
                .fold(0_usize, |sum, &digit| sum << 8 | usize::from(digit))
        }
        _ => return None,
    };
    let (value, behind) = rest.split_at_checked(length)?;
    let (tlv, _) = bytes.split_at_checked(bytes.len() - behind.len())?;
    Some((Item { tag, tlv, value }, behind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::x509::encode::{octet_string, sequence};

    #[test]
    fn values_are_taken_apart() {
        let long = octet_string(&[7; 300]);
        let der = sequence(&[&octet_string(b"a"), &long]);
        let [first, second] = item(&der).unwrap().inside(0x30).unwrap()[..] else {
            panic!();
        };
        assert_eq!(first.bytes(0x04), Some(&b"a"[..]));
        assert_eq!((second.tlv, second.value), (&long[..], &[7; 300][..]));
        assert_eq!(second.bytes(0x02), None);
        for bad in [
            &der[..5],
            &[0x30, 0x80, 0, 0],
            &[0x3f, 0],
            &[0x30],
            b"\x30\x00x",
        ] {
            assert_eq!(item(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Some(found) = items(&bytes) {
                let whole: Vec<u8> = found.iter().flat_map(|item| item.tlv).copied().collect();
                prop_assert_eq!(whole, bytes);
            }
        }
    }
}
