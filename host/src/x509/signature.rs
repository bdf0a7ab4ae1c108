//! Verifying signatures on requests and certificates (RFC 5280 §4.1.1.3) with aws-lc, and the key
//! types that a certificate may have.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::BitString;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512, OID_SIG_ED25519, Oid,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// An algorithm that is unknown, or too weak to count.
    Algorithm,
    Wrong,
}

pub(crate) fn verify(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
    signature: &BitString<'_>,
    signed: &[u8],
) -> Result<(), SignatureError> {
    let verification = algorithm_for(key, algorithm).ok_or(SignatureError::Algorithm)?;
    UnparsedPublicKey::new(verification, &key.subject_public_key.data)
        .verify(signed, &signature.data)
        .map_err(|_| SignatureError::Wrong)
}

/// Whether the holder of this key signed this message: SubjectPublicKeyInfo and AlgorithmIdentifier in
/// DER, both read from what a client sent. A key that is too weak signs nothing.
pub(crate) fn verify_signature(
    public_key: &[u8],
    algorithm: &[u8],
    signature: &[u8],
    message: &[u8],
) -> bool {
    let (Ok((_, key)), Ok((_, algorithm))) = (
        SubjectPublicKeyInfo::from_der(public_key),
        AlgorithmIdentifier::from_der(algorithm),
    ) else {
        return false;
    };
    let signature = BitString::new(0, signature);
    weakness(&key).is_none() && verify(&key, &algorithm, &signature, message).is_ok()
}

/// The key of a certificate: SubjectPublicKeyInfo, DER.
pub(crate) fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.public_key().raw.to_vec())
}

fn algorithm_for(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    let oid = &algorithm.algorithm;
    let key_type = &key.algorithm.algorithm;
    if *key_type == OID_PKCS1_RSAENCRYPTION {
        return rsa(oid, algorithm);
    }
    if *key_type == OID_KEY_TYPE_EC_PUBLIC_KEY {
        return ecdsa(&curve(key)?, oid);
    }
    (*key_type == OID_SIG_ED25519 && *oid == OID_SIG_ED25519)
        .then_some(&signature::ED25519 as &dyn VerificationAlgorithm)
}

fn rsa(
    oid: &Oid<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    if *oid == OID_PKCS1_SHA256WITHRSA {
        Some(&signature::RSA_PKCS1_2048_8192_SHA256)
    } else if *oid == OID_PKCS1_SHA384WITHRSA {
        Some(&signature::RSA_PKCS1_2048_8192_SHA384)
    } else if *oid == OID_PKCS1_SHA512WITHRSA {
        Some(&signature::RSA_PKCS1_2048_8192_SHA512)
    } else if *oid == OID_PKCS1_RSASSAPSS {
        pss(algorithm)
    } else {
        None
    }
}

fn pss(algorithm: &AlgorithmIdentifier<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    use x509_parser::oid_registry::{
        OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512,
    };
    let parameters = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
    let hash = parameters.hash_algorithm_oid();
    if *hash == OID_NIST_HASH_SHA256 {
        Some(&signature::RSA_PSS_2048_8192_SHA256)
    } else if *hash == OID_NIST_HASH_SHA384 {
        Some(&signature::RSA_PSS_2048_8192_SHA384)
    } else if *hash == OID_NIST_HASH_SHA512 {
        Some(&signature::RSA_PSS_2048_8192_SHA512)
    } else {
        None
    }
}

fn ecdsa(curve: &Oid<'_>, oid: &Oid<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let hash = [
        OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ECDSA_WITH_SHA512,
    ]
    .iter()
    .position(|known| known == oid)?;
    if *curve == OID_EC_P256 {
        match hash {
            0 => Some(&signature::ECDSA_P256_SHA256_ASN1),
            1 => Some(&signature::ECDSA_P256_SHA384_ASN1),
            _ => Some(&signature::ECDSA_P256_SHA512_ASN1),
        }
    } else if *curve == OID_NIST_EC_P384 {
        match hash {
            0 => Some(&signature::ECDSA_P384_SHA256_ASN1),
            1 => Some(&signature::ECDSA_P384_SHA384_ASN1),
            _ => Some(&signature::ECDSA_P384_SHA512_ASN1),
        }
    } else if *curve == OID_NIST_EC_P521 {
        match hash {
            0 => Some(&signature::ECDSA_P521_SHA256_ASN1),
            1 => Some(&signature::ECDSA_P521_SHA384_ASN1),
            _ => Some(&signature::ECDSA_P521_SHA512_ASN1),
        }
    } else {
        None
    }
}

fn curve<'a>(key: &SubjectPublicKeyInfo<'a>) -> Option<Oid<'a>> {
    key.algorithm.parameters.as_ref()?.clone().oid().ok()
}

/// Says what is wrong with a subject's public key, if anything is.
pub(crate) fn weakness(key: &SubjectPublicKeyInfo<'_>) -> Option<&'static str> {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let bits = rsa.key_size();
            let exponent = rsa.try_exponent().unwrap_or(0);
            if bits < 2048 {
                Some("its RSA key is shorter than 2048 bits")
            } else if bits > 8192 {
                Some("its RSA key is longer than 8192 bits")
            } else if exponent < 65537 || exponent % 2 == 0 {
                // NIST SP 800-89 §5.3.3
                Some("its RSA key's public exponent is even or below 65537")
            } else {
                None
            }
        }
        Ok(PublicKey::EC(_)) => match curve(key) {
            Some(curve) if [OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521].contains(&curve) => {
                None
            }
            _ => Some("its curve is not P-256, P-384 or P-521"),
        },
        Ok(_) if key.algorithm.algorithm == OID_SIG_ED25519 => None,
        _ => Some("its key is not RSA, ECDSA or Ed25519"),
    }
}
