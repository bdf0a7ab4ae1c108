//! [`SignedData`]: a CMS message signed by one signer (RFC 5652 §5).

use zeroize::Zeroizing;

use super::{DATA, SIGNED_DATA, content_info};
use crate::est::signer::Signer;
use crate::x509::encode::{context, integer, octet_string, oid, sequence, set_of, tlv};

/// What is to be signed, and by whom.
pub(crate) struct SignedData<'a> {
    pub(crate) content_type: &'a str,
    pub(crate) content: &'a [u8],
    pub(crate) signer: &'a Signer,
    /// IssuerAndSerialNumber of the signer's certificate, DER.
    pub(crate) signer_id: &'a [u8],
    /// Certificates to go along, DER.
    pub(crate) certificates: &'a [Vec<u8>],
}

impl SignedData<'_> {
    /// ContentInfo, DER. The content may be a private key: wherever it is copied to, it is wiped.
    pub(crate) fn encode(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let algorithm = self.signer.algorithm()?;
        let digest = algorithm.digest.identifier();
        // RFC 5652 §5.3: content type and digest are signed in the content's stead.
        let attributes = set_of(vec![
            sequence(&[&oid(CONTENT_TYPE), &set_of(vec![oid(self.content_type)])]),
            sequence(&[
                &oid(MESSAGE_DIGEST),
                &set_of(vec![octet_string(&algorithm.digest.of(self.content))]),
            ]),
        ]);
        let signature = self.signer.sign(&attributes)?;
        // §5.4: signed as a SET OF, sent as [0].
        let mut sent = attributes;
        if let Some(tag) = sent.first_mut() {
            *tag = 0xa0;
        }
        let signer_info = sequence(&[
            &integer(1),
            self.signer_id,
            &digest,
            &sent,
            &algorithm.identifier(),
            &octet_string(&signature),
        ]);
        let version = if self.content_type == DATA { 1 } else { 3 };
        let certificates = self.certificates.concat();
        let content = Zeroizing::new(octet_string(self.content));
        let content = Zeroizing::new(context(0, &[&content]));
        let content = Zeroizing::new(sequence(&[&oid(self.content_type), &content]));
        let signed = Zeroizing::new(sequence(&[
            &integer(version),
            &set_of(vec![digest]),
            &content,
            &tlv(0xa0, &[&certificates]),
            &set_of(vec![signer_info]),
        ]));
        Ok(Zeroizing::new(content_info(SIGNED_DATA, &signed)))
    }
}

/// RFC 5652 §11
pub(super) const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
pub(super) const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
