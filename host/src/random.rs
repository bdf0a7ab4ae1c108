//! The one source of randomness.

/// Fills `bytes` from the process's CSPRNG.
///
/// aws-lc reseeds itself from the kernel and aborts only if the kernel has no entropy source at all,
/// which no supported system can show after start; the fallback reads the kernel directly.
pub fn fill(bytes: &mut [u8]) {
    if aws_lc_rs::rand::fill(bytes).is_ok() {
        return;
    }
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
}

/// `N` random bytes.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}
