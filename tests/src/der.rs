//! Just enough DER to put odd messages together and to take answers apart.

pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OID: u8 = 0x06;
pub const UTF8_STRING: u8 = 0x0c;
pub const PRINTABLE_STRING: u8 = 0x13;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// One element: its tag, its content, and all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The only element of these bytes.
    pub fn of(bytes: &'a [u8]) -> Self {
        let all = elements(bytes);
        assert_eq!(all.len(), 1, "one element: {bytes:02x?}");
        all[0]
    }

    /// What is inside.
    pub fn parts(&self) -> Vec<Self> {
        elements(self.content)
    }

    /// The object identifier in dots.
    pub fn oid(&self) -> String {
        assert_eq!(self.tag, OID, "{:02x?}", self.whole);
        let mut arcs = vec![
            u64::from(self.content[0] / 40),
            u64::from(self.content[0] % 40),
        ];
        let mut arc = 0;
        for byte in &self.content[1..] {
            arc = (arc << 7) | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                arcs.push(arc);
                arc = 0;
            }
        }
        let arcs: Vec<_> = arcs.iter().map(u64::to_string).collect();
        arcs.join(".")
    }
}

/// The elements that stand one behind the other; panics if that is not what it is.
pub fn elements(mut bytes: &[u8]) -> Vec<Element<'_>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (length, head) = match bytes[1] {
            short @ 0..0x80 => (usize::from(short), 2),
            long => {
                let count = usize::from(long & 0x7f);
                let digits = &bytes[2..2 + count];
                let length = digits
                    .iter()
                    .fold(0, |sum, digit| (sum << 8) | usize::from(*digit));
                (length, 2 + count)
            }
        };
        let (whole, rest) = bytes.split_at(head + length);
        all.push(Element {
            tag: whole[0],
            content: &whole[head..],
            whole,
        });
        bytes = rest;
    }
    all
}

/// An element of these parts, one behind the other.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut all = vec![tag];
    match content.len() {
        length @ 0..0x80 => all.push(length as u8),
        length => {
            let digits: Vec<_> = length
                .to_be_bytes()
                .into_iter()
                .skip_while(|digit| *digit == 0)
                .collect();
            all.push(0x80 | digits.len() as u8);
            all.extend(digits);
        }
    }
    all.extend(content);
    all
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, parts)
}

pub fn set(parts: &[&[u8]]) -> Vec<u8> {
    element(SET, parts)
}

pub fn integer(value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take(3).take_while(|byte| **byte == 0).count();
    // A leading one bit would make it negative.
    let pad: &[u8] = if bytes[zeros] >= 0x80 { &[0] } else { &[] };
    element(INTEGER, &[pad, &bytes[zeros..]])
}

/// From `1.2.840`.
pub fn oid(dots: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dots.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut content = vec![(arcs[0] * 40 + arcs[1]) as u8];
    for arc in &arcs[2..] {
        let sevens = (64 - arc.max(&1).leading_zeros()).div_ceil(7);
        for place in (0..sevens).rev() {
            let more = if place > 0 { 0x80 } else { 0 };
            content.push(((arc >> (7 * place)) & 0x7f) as u8 | more);
        }
    }
    element(OID, &[&content])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_together_comes_apart() {
        for value in [0, 1, 127, 128, 255, 256, 65_535, u32::MAX] {
            let encoded = integer(value);
            let content = Element::of(&encoded).content;
            let read = content
                .iter()
                .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
            assert_eq!(read, u64::from(value));
        }
        for dots in ["1.2.840.113549.1.7.2", "2.5.4.3", "1.3.6.1.5.5.7.12.2"] {
            assert_eq!(Element::of(&oid(dots)).oid(), dots);
        }
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let long = element(OCTET_STRING, &[&vec![7; length]]);
            let both = sequence(&[&long, &integer(1)]);
            let parts = Element::of(&both).parts();
            assert_eq!(parts[0].content.len(), length);
            assert_eq!(parts[1].whole, integer(1));
        }
    }
}
