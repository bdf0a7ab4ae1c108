//! A Full CMC request (RFC 5272): a PKIData in a SignedData (RFC 5652).
#![no_main]

use certdock::est::cms::{Data, PKI_DATA, SignedRequest, Status};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let content = SignedRequest::parse(bytes, PKI_DATA).map_or(bytes, |signed| {
        // Whoever's key it is not.
        assert!(!signed.is_signed_by(bytes));
        signed.content
    });
    let data = Data::parse(content);
    assert!(data.wanted.is_some() || data.problem.is_some());
    assert!(!data.respond(&Status::Success).is_empty());
});
