//! The metadata note: what a plugin says of itself, readable from its bytes before any of its code
//! runs.
//!
//! It is an ELF note in an allocated section `.note.certdock`, so that the linker keeps it and gives
//! it a `PT_NOTE` segment, and `strip` leaves it alone. Name [`NAME`], type [`TYPE`]; the
//! description is UTF-8 text, one `key=value` per line. Readers ignore keys that they don't know.

#![allow(clippy::indexing_slicing, reason = "all of it runs at compile time")]

/// The note's name, with the NUL that ELF wants.
pub const NAME: &[u8] = b"certdock\0";

/// The note's type: the first revision of this format.
pub const TYPE: u32 = 1;

/// The machine a plugin was built for.
pub const TARGET: &[&str] = &[
    std::env::consts::ARCH,
    "-",
    std::env::consts::OS,
    "-",
    ENVIRONMENT,
];

const ENVIRONMENT: &str = if cfg!(target_env = "gnu") {
    "gnu"
} else if cfg!(target_env = "musl") {
    "musl"
} else {
    "other"
};

/// One line of the description: a key, and the pieces of its value.
pub type Line<'a> = (&'a str, &'a [&'a str]);

/// A finished note. ELF aligns notes to four bytes.
#[repr(C, align(4))]
pub struct Note<const N: usize>([u8; N]);

/// The size of the note with these lines.
#[must_use]
pub const fn size(lines: &[Line<'_>]) -> usize {
    12 + padded(NAME.len()) + padded(description_size(lines))
}

/// Makes the note; `N` is its [`size`].
///
/// # Panics
/// When it is built (a compile error) if a value holds a control character.
#[must_use]
pub const fn build<const N: usize>(lines: &[Line<'_>]) -> Note<N> {
    let mut out = Writer {
        bytes: [0; N],
        at: 0,
    };
    out = out
        .number(NAME.len())
        .number(description_size(lines))
        .number(TYPE as usize);
    out = out.put(NAME);
    out.at = 12 + padded(NAME.len());
    let mut line = 0;
    while line < lines.len() {
        let (key, value) = lines[line];
        out = out.put(key.as_bytes()).put(b"=");
        let mut piece = 0;
        while piece < value.len() {
            assert_no_control(value[piece].as_bytes());
            out = out.put(value[piece].as_bytes());
            piece += 1;
        }
        out = out.put(b"\n");
        line += 1;
    }
    Note(out.bytes)
}

const fn description_size(lines: &[Line<'_>]) -> usize {
    let mut size = 0;
    let mut line = 0;
    while line < lines.len() {
        let (key, value) = lines[line];
        size += key.len() + "=\n".len();
        let mut piece = 0;
        while piece < value.len() {
            size += value[piece].len();
            piece += 1;
        }
        line += 1;
    }
    size
}

const fn padded(size: usize) -> usize {
    size.next_multiple_of(4)
}

const fn assert_no_control(text: &[u8]) {
    let mut at = 0;
    while at < text.len() {
        assert!(
            text[at] >= 0x20 && text[at] != 0x7f,
            "no control characters in a plugin's note"
        );
        at += 1;
    }
}

struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    const fn put(mut self, bytes: &[u8]) -> Self {
        let mut from = 0;
        while from < bytes.len() {
            self.bytes[self.at] = bytes[from];
            self.at += 1;
            from += 1;
        }
        self
    }

    const fn number(self, number: usize) -> Self {
        assert!(number <= u32::MAX as usize);
        self.put(&(number as u32).to_ne_bytes())
    }
}

impl<const N: usize> Note<N> {
    /// The note's bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; N] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_is_as_elf_wants_it() {
        const LINES: &[Line<'_>] = &[("id", &["my", "-", "ca"]), ("vendor", &["Example"])];
        const SIZE: usize = size(LINES);
        const NOTE: Note<SIZE> = build(LINES);
        let bytes = NOTE.bytes();
        assert_eq!(bytes[0..4], 9_u32.to_ne_bytes());
        assert_eq!(bytes[4..8], 24_u32.to_ne_bytes());
        assert_eq!(bytes[8..12], TYPE.to_ne_bytes());
        assert_eq!(&bytes[12..24], b"certdock\0\0\0\0");
        assert_eq!(&bytes[24..48], b"id=my-ca\nvendor=Example\n");
        assert_eq!(bytes.len(), 48);
    }
}
