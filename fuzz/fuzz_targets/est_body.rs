//! The body of an EST request: base64 in any form, or DER (RFC 8951 §3.1).
#![no_main]

use certdock::est::body;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(der) = body::decode(bytes) {
        assert!(!der.is_empty() && der.len() <= bytes.len());
    }
});
