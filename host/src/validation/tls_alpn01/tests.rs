use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::order::ChallengeType;
use crate::validation::policy::AddressPolicy;
use crate::validation::testing::{Dns, proof};

const NAME: &str = "a.example";
const OID: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 31];
const DRAFT_OID: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 30, 1];

/// What a server shows; the right thing, until a test changes it.
struct Show {
    names: Vec<SanType>,
    oid: &'static [u64],
    critical: bool,
    value: Vec<u8>,
    twice: bool,
    self_signed: bool,
    protocols: Vec<Vec<u8>>,
    version: &'static rustls::SupportedProtocolVersion,
    key: KeyPair,
}

fn right(proof: &Proof) -> Show {
    let digest = digest::digest(&digest::SHA256, proof.key_authorization.as_bytes());
    Show {
        names: vec![SanType::DnsName(NAME.try_into().unwrap())],
        oid: OID,
        critical: true,
        value: [&[4, 32], digest.as_ref()].concat(),
        twice: false,
        self_signed: true,
        protocols: vec![PROTOCOL.to_vec()],
        version: &rustls::version::TLS13,
        key: KeyPair::generate().unwrap(),
    }
}

impl Show {
    fn certificate(&self) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "challenge");
        params.subject_alt_names.clone_from(&self.names);
        let mut extension = CustomExtension::from_oid_content(self.oid, self.value.clone());
        extension.set_criticality(self.critical);
        params.custom_extensions.push(extension.clone());
        if self.twice {
            params.custom_extensions.push(extension);
        }
        if self.self_signed {
            return params.self_signed(&self.key).unwrap().der().clone();
        }
        // The same names of issuer and subject, but another key.
        let issuer = rcgen::Issuer::new(params.clone(), KeyPair::generate().unwrap());
        params.signed_by(&self.key, &issuer).unwrap().der().clone()
    }

    async fn check(self, proof: &Proof) -> Result<(), Failure> {
        // rustls's own check of a server's certificate knows no acmeIdentifier.
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
                .with_protocol_versions(&[self.version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(
                    vec![self.certificate()],
                    provider::sign::any_supported_type(&key).unwrap(),
                ))));
        config.alpn_protocols = self.protocols;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
            if let Ok(mut stream) = accepted {
                assert_eq!(stream.get_ref().1.server_name(), Some(NAME));
                let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 16]).await;
            }
        });
        let dns = Dns::start();
        dns.host(NAME, "127.0.0.1");
        let policy = AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()], vec![]);
        let dialer = Dialer::new(dns.resolver(), policy);
        let result = TlsAlpn01::new(port).unwrap().check(&dialer, proof).await;
        server.await.unwrap();
        result
    }
}

#[tokio::test]
async fn the_right_certificate_is_accepted() {
    for change in [
        (|_| {}) as fn(&mut Show),
        |show| show.version = &rustls::version::TLS12,
        |show| show.key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
        |show| show.key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        |show| show.key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap(),
        |show| {
            show.key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
            show.version = &rustls::version::TLS12;
        },
        |show| show.names = vec![SanType::DnsName("A.Example".try_into().unwrap())],
        |show| show.protocols.push(b"h2".to_vec()),
    ] {
        let proof = proof(ChallengeType::TlsAlpn01, NAME);
        let mut show = right(&proof);
        change(&mut show);
        show.check(&proof).await.unwrap();
    }
}

#[tokio::test]
async fn any_other_certificate_is_refused() {
    use FailureKind::{IncorrectResponse, Tls, Unauthorized};
    for (change, kind, expect) in [
        (
            (|show| show.oid = DRAFT_OID) as fn(&mut Show),
            IncorrectResponse,
            "one acmeIdentifier",
        ),
        (|show| show.twice = true, IncorrectResponse, ""),
        (
            |show| show.critical = false,
            IncorrectResponse,
            "not critical",
        ),
        (|show| show.value[5] ^= 1, IncorrectResponse, "digest"),
        (
            |show| show.value.push(0),
            IncorrectResponse,
            "can't be read",
        ),
        (
            |show| show.value = show.value.split_off(2),
            IncorrectResponse,
            "can't be read",
        ),
        (
            |show| show.value.truncate(2),
            IncorrectResponse,
            "can't be read",
        ),
        (|show| show.value = vec![4, 0], IncorrectResponse, "digest"),
        (
            |show| show.names.clear(),
            IncorrectResponse,
            "no subject alternative name",
        ),
        (
            |show| show.names = vec![SanType::DnsName("b.example".try_into().unwrap())],
            IncorrectResponse,
            "exactly the name",
        ),
        (
            |show| {
                show.names
                    .push(SanType::DnsName("b.example".try_into().unwrap()))
            },
            IncorrectResponse,
            "exactly the name",
        ),
        (
            |show| show.names.push(SanType::IpAddress([192, 0, 2, 1].into())),
            IncorrectResponse,
            "exactly the name",
        ),
        (
            |show| show.self_signed = false,
            IncorrectResponse,
            "self-signed",
        ),
        (|show| show.protocols.clear(), Unauthorized, "negotiate"),
        (
            |show| show.protocols = vec![b"http/1.1".to_vec()],
            Tls,
            "handshake",
        ),
    ] {
        let proof = proof(ChallengeType::TlsAlpn01, NAME);
        let mut show = right(&proof);
        change(&mut show);
        let failure = show.check(&proof).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{expect}: {}", failure.detail);
        assert!(
            failure.detail.contains(expect),
            "{expect}: {}",
            failure.detail
        );
    }
}

#[tokio::test]
async fn a_proof_for_another_account_is_refused() {
    let (mine, other) = (
        proof(ChallengeType::TlsAlpn01, NAME),
        proof(ChallengeType::TlsAlpn01, NAME),
    );
    let failure = right(&other).check(&mine).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::IncorrectResponse);
}

proptest::proptest! {
    #[test]
    fn foreign_bytes_never_panic(position in 0usize..400, byte: u8, cut in 0usize..300) {
        let proof = proof(ChallengeType::TlsAlpn01, NAME);
        let validator = TlsAlpn01::new(443).unwrap();
        let mut der = right(&proof).certificate().to_vec();
        validator.check_certificate(&der, &proof).unwrap();
        if let Some(target) = der.get_mut(position) {
            *target = byte;
        }
        let _ = validator.check_certificate(&der, &proof);
        der.truncate(cut);
        proptest::prop_assert!(validator.check_certificate(&der, &proof).is_err());
    }
}
