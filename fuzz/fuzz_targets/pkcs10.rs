//! A PKCS #10 request (RFC 2986).
#![no_main]

use certdock::x509::Csr;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    if let Ok(csr) = Csr::parse(der) {
        let names = csr.names();
        assert!(names.len() <= der.len());
    }
});
