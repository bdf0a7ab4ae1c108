//! Writing DER (X.690): the few types that requests and CMS messages are made of. A value is its bytes,
//! so what was read can be put into what is written without change.

pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// A value of any type: tag, length, content.
#[must_use]
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    write_head(&mut out, tag, length);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

fn write_head(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
            let digits = bytes.get(zeros..).unwrap_or_default();
            out.push(0x80 | (digits.len() as u8));
            out.extend_from_slice(digits);
        }
    }
}

#[must_use]
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, parts)
}

/// A SET OF, its members in the order that DER asks for (X.690 §11.6).
#[must_use]
pub fn set_of(mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort();
    tlv(SET, &[&members.concat()])
}

/// `[number]`, explicit, or implicit for a constructed type.
#[must_use]
pub fn context(number: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv(0xa0 | number, parts)
}

/// A non-negative INTEGER from its big-endian bytes.
#[must_use]
pub fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    match bytes.get(zeros..).unwrap_or_default() {
        [] => tlv(0x02, &[&[0]]),
        digits @ [0x80..=0xff, ..] => tlv(0x02, &[&[0], digits]),
        digits => tlv(0x02, &[digits]),
    }
}

#[must_use]
pub fn integer(number: u64) -> Vec<u8> {
    unsigned(&number.to_be_bytes())
}

#[must_use]
pub fn octet_string(bytes: &[u8]) -> Vec<u8> {
    tlv(0x04, &[bytes])
}

/// A BIT STRING of whole bytes.
#[must_use]
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], bytes])
}

#[must_use]
pub fn null() -> Vec<u8> {
    vec![0x05, 0]
}

#[must_use]
pub fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, &[text.as_bytes()])
}

/// An OBJECT IDENTIFIER from its dotted form; arcs that are no numbers count as zero.
#[must_use]
pub fn oid(dotted: &str) -> Vec<u8> {
    let mut arcs = dotted.split('.').map(|arc| arc.parse().unwrap_or(0_u64));
    let (first, second) = (arcs.next().unwrap_or(0), arcs.next().unwrap_or(0));
    let mut content = Vec::new();
    write_arc(
        &mut content,
        first.saturating_mul(40).saturating_add(second),
    );
    for arc in arcs {
        write_arc(&mut content, arc);
    }
    tlv(0x06, &[&content])
}

/// Base 128, the highest digit first, all but the last with bit 8 set (X.690 §8.19.2).
fn write_arc(out: &mut Vec<u8>, arc: u64) {
    for place in (0..10).rev() {
        let rest = arc.checked_shr(7 * place).unwrap_or(0);
        if rest != 0 || place == 0 {
            let more = if place == 0 { 0 } else { 0x80 };
            out.push((rest & 0x7f) as u8 | more);
        }
    }
}

#[cfg(test)]
mod tests {
    use der::asn1::{ObjectIdentifier, OctetStringRef, UintRef};
    use der::{Decode as _, Encode as _};

    use super::*;

    #[test]
    fn values_are_der() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 70_000] {
            let content = vec![7; length];
            let encoded = octet_string(&content);
            assert_eq!(
                <&OctetStringRef>::from_der(&encoded).unwrap().as_bytes(),
                content
            );
        }
        for number in [0, 1, 0x7f, 0x80, 0xff, 0x100, u64::MAX] {
            assert_eq!(u64::from_der(&integer(number)).unwrap(), number);
        }
        assert_eq!(
            UintRef::from_der(&unsigned(&[0, 0, 0x80, 1]))
                .unwrap()
                .as_bytes(),
            [0x80, 1]
        );
        for text in [
            "2.5.4.3",
            "1.2.840.113549.1.9.16.2.61",
            "0.9.2342.19200300.100.1.25",
        ] {
            let expected = ObjectIdentifier::new(text).unwrap().to_der().unwrap();
            assert_eq!(oid(text), expected, "{text}");
        }
        // The one joint arc that may be above 39.
        assert_eq!(oid("2.999.1"), [0x06, 3, 0x88, 0x37, 1]);
        assert_eq!(
            set_of(vec![vec![2, 1, 5], vec![2, 1, 3]]),
            [0x31, 6, 2, 1, 3, 2, 1, 5]
        );
        assert_eq!(context(0, &[&null()]), [0xa0, 2, 5, 0]);
    }
}
