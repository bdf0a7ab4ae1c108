//! [`Random`]: numbers that follow from a seed, so that what was found once is found again. Not for
//! anything secret.

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    /// Each check has numbers of its own, whichever others are run.
    pub(super) fn new(seed: u64, check: &str) -> Self {
        // FNV-1a
        let name = check.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(seed ^ name)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`; 0 if that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() as usize).checked_rem(end).unwrap_or(0)
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> Option<&'a T> {
        from.get(self.below(from.len())).copied()
    }

    pub(super) fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let length = self.below(longest + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Bytes with a few changes: some flipped, some cut out, some put in, or the end cut off.
    pub(super) fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes.drain(at..end);
                }
                2 => {
                    let more = self.bytes(16);
                    bytes.splice(at..at, more);
                }
                _ => {
                    let bit = 1_u8 << self.below(8);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= bit;
                    }
                }
            }
        }
        bytes
    }

    /// A text of the sort that nobody expects.
    pub(super) fn text(&mut self) -> String {
        const ODD: [&str; 12] = [
            "",
            " ",
            "\0",
            "a\nb",
            "../../etc/passwd",
            "%s%n",
            "'; DROP TABLE x; --",
            "\u{202e}é",
            "*.*.example",
            "${x}",
            "-",
            "https://[::1]:99999/",
        ];
        match self.below(3) {
            0 => self.pick(&ODD).unwrap_or_default().to_owned(),
            1 => {
                let length = self.below(5000);
                "x".repeat(length)
            }
            _ => String::from_utf8_lossy(&self.bytes(64)).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_name_give_the_same_again() {
        let draw = |seed, check| {
            let mut random = Random::new(seed, check);
            let damaged: Vec<_> = (0..50).map(|_| random.damaged(&[7; 100])).collect();
            (damaged, random.text(), random.bytes(9))
        };
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }

    #[test]
    fn nothing_is_too_short_to_be_damaged() {
        let mut random = Random::new(3, "x");
        for length in [0, 1, 2] {
            (0..500).for_each(|_| drop(random.damaged(&vec![0; length])));
        }
        assert_eq!((random.below(0), random.below(1)), (0, 0));
    }
}
