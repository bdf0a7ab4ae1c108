//! csrattrs: what a CSR should have in it (RFC 7030 §4.5, RFC 9908). Anybody may know.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use crate::config::{CsrAttribute, CsrTemplate, TemplateKey};
use crate::est::answer::{self, Form};
use crate::est::label::Label;
use crate::x509::encode::{
    bit_string, context, integer, null, octet_string, oid, sequence, set_of, tlv, unsigned, utf8,
};

const CONTENT_TYPE: &str = "application/csrattrs";

pub(super) fn answer(label: &Label, form: Form) -> Response {
    match &label.csrattrs {
        Some(attributes) => answer::encoded(CONTENT_TYPE, form, attributes),
        // RFC 7030 §4.5.2: there is nothing to say.
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// A label's CsrAttrs, DER, if it has anything to ask for. The template goes last: clients that don't
/// know it take the list for what it is (RFC 9908 §3.4).
pub(super) fn render(list: &[CsrAttribute], template: Option<&CsrTemplate>) -> Option<Vec<u8>> {
    let mut items: Vec<Vec<u8>> = list.iter().map(attribute_or_oid).collect();
    items.extend(template.map(|template| {
        attribute(
            CERTIFICATION_REQUEST_INFO_TEMPLATE,
            vec![self::template(template)],
        )
    }));
    (!items.is_empty()).then(|| sequence(&[&items.concat()]))
}

/// RFC 7030 §4.5.2: an OID alone, or an attribute with values.
fn attribute_or_oid(item: &CsrAttribute) -> Vec<u8> {
    if item.values.is_empty() {
        return oid(&item.oid);
    }
    attribute(
        &item.oid,
        item.values.iter().map(|value| oid(value)).collect(),
    )
}

fn attribute(kind: &str, values: Vec<Vec<u8>>) -> Vec<u8> {
    sequence(&[&oid(kind), &set_of(values)])
}

/// RFC 9908 §3.4: CertificationRequestInfoTemplate. What has no value is for the client to fill in.
fn template(template: &CsrTemplate) -> Vec<u8> {
    let mut parts = vec![integer(0)];
    if !template.subject.is_empty() {
        let names = template.subject.iter().map(|(kind, value)| {
            let kind = oid(kind);
            let single = match value {
                Some(value) => sequence(&[&kind, &utf8(value)]),
                None => sequence(&[&kind]),
            };
            set_of(vec![single])
        });
        parts.push(sequence(&[&names.collect::<Vec<_>>().concat()]));
    }
    if let Some(key) = template.key {
        parts.push(context(0, &[&public_key(key)]));
    }
    let extensions = extensions(template);
    let attributes = if extensions.is_empty() {
        Vec::new()
    } else {
        attribute(
            EXTENSION_REQ_TEMPLATE,
            vec![sequence(&[&extensions.concat()])],
        )
    };
    parts.push(context(1, &[&attributes]));
    sequence(&[&parts.concat()])
}

/// The content of a SubjectPublicKeyInfoTemplate. An RSA key of the wanted size stands for that size;
/// it is nobody's.
fn public_key(key: TemplateKey) -> Vec<u8> {
    let curve = |curve| sequence(&[&oid(EC_PUBLIC_KEY), &oid(curve)]);
    match key {
        TemplateKey::P256 => curve("1.2.840.10045.3.1.7"),
        TemplateKey::P384 => curve("1.3.132.0.34"),
        TemplateKey::P521 => curve("1.3.132.0.35"),
        TemplateKey::Ed25519 => sequence(&[&oid("1.3.101.112")]),
        TemplateKey::Rsa(bits) => {
            let modulus = vec![0xff; usize::from(bits) / 8];
            let placeholder = sequence(&[&unsigned(&modulus), &integer(65_537)]);
            let algorithm = sequence(&[&oid("1.2.840.113549.1.1.1"), &null()]);
            [algorithm, bit_string(&placeholder)].concat()
        }
    }
}

/// ExtensionTemplates: those with a value as the CA will have them, the alternative names without.
fn extensions(template: &CsrTemplate) -> Vec<Vec<u8>> {
    let mut extensions = Vec::new();
    if template.alternative_names {
        extensions.push(sequence(&[&oid("2.5.29.17")]));
    }
    if template.key_usage != 0 {
        let value = key_usage(template.key_usage);
        let critical = tlv(0x01, &[&[0xff]]);
        extensions.push(sequence(&[
            &oid("2.5.29.15"),
            &critical,
            &octet_string(&value),
        ]));
    }
    if !template.extended_key_usage.is_empty() {
        let purposes = template
            .extended_key_usage
            .iter()
            .map(|purpose| oid(purpose));
        let value = sequence(&[&purposes.collect::<Vec<_>>().concat()]);
        extensions.push(sequence(&[&oid("2.5.29.37"), &octet_string(&value)]));
    }
    extensions
}

/// A named bit list: bit 0 is the highest, and trailing zeros are cut off (X.690 §11.2.2).
fn key_usage(bits: u16) -> Vec<u8> {
    let [low, high] = bits.to_le_bytes().map(u8::reverse_bits);
    let (bytes, last) = if high == 0 {
        (vec![low], low)
    } else {
        (vec![low, high], high)
    };
    let unused = u8::try_from(last.trailing_zeros()).unwrap_or(0);
    tlv(0x03, &[&[unused], &bytes])
}

/// RFC 9908 §3.4
const CERTIFICATION_REQUEST_INFO_TEMPLATE: &str = "1.2.840.113549.1.9.16.2.61";
const EXTENSION_REQ_TEMPLATE: &str = "1.2.840.113549.1.9.16.2.62";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(der: &[u8]) -> String {
        der.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn nothing_to_say_is_nothing() {
        assert_eq!(render(&[], None), None);
    }

    /// RFC 8951 §3.2's kind of list: OIDs, and attributes with values.
    #[test]
    fn lists_hold_oids_and_attributes() {
        let list = [
            CsrAttribute {
                oid: "1.2.840.113549.1.9.7".into(),
                values: vec![],
            },
            CsrAttribute {
                oid: EC_PUBLIC_KEY.into(),
                values: vec!["1.3.132.0.34".into()],
            },
        ];
        assert_eq!(
            hex(&render(&list, None).unwrap()),
            "301f06092a864886f70d010907301206072a8648ce3d0201310706052b81040022"
        );
    }

    #[test]
    fn templates_say_what_is_fixed_and_what_is_to_be_filled_in() {
        let template = CsrTemplate {
            subject: vec![
                ("2.5.4.3".into(), None),
                ("2.5.4.10".into(), Some("Oy".into())),
            ],
            key: Some(TemplateKey::P256),
            alternative_names: true,
            key_usage: 1,
            extended_key_usage: vec!["1.3.6.1.5.5.7.3.2".into()],
        };
        let expected = [
            "020100",
            // commonName without a value, organizationName with one
            "30163107300506035504 03310b3009060355040a0c024f79",
            // [0] ecPublicKey, prime256v1
            "a015301306072a8648ce3d020106082a8648ce3d030107",
            // [1] extensionReqTemplate: subjectAltName, keyUsage, extendedKeyUsage
            "a13f303d060b2a864886f70d010910023e312e302c 30050603551d11",
            "300e0603551d0f0101ff04040302078030130603551d25040c300a06082b06010505070302",
        ];
        let text = expected.concat().replace(' ', "");
        let der = self::template(&template);
        assert!(hex(&der).ends_with(&text), "{} {text}", hex(&der));
    }

    #[test]
    fn an_rsa_key_stands_for_its_size() {
        let der = public_key(TemplateKey::Rsa(3072));
        assert!(der.len() > 3072 / 8 && der.len() < 3072 / 8 + 64);
    }

    #[test]
    fn key_usages_are_named_bits() {
        assert_eq!(hex(&key_usage(0b1)), "03020780");
        assert_eq!(hex(&key_usage(0b101)), "030205a0");
        assert_eq!(hex(&key_usage(0b1_0000_0000)), "0303070080");
    }
}
