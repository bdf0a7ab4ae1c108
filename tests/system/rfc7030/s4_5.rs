//! RFC 7030 §4.5 and RFC 9908: what a CSR should have in it.

use certdock_tests::der::Element;
use certdock_tests::est::{EstWorld, TLS_VERSIONS, decode_base64};
use http::Method;

use super::check_refusal;

const MORE: &str = r#"
[est.listed]
handler = "local"
csrattrs = ["challengePassword", { oid = "ecPublicKey", values = ["secp384r1"] }, "1.2.3.4.5"]

[est.template]
handler = "local"
csrattrs = ["challengePassword"]

[est.template.template]
subject = ["commonName", "organizationName=Example"]
key = "P-256"
alternative_names = true
key_usage = ["digitalSignature"]
extended_key_usage = ["clientAuth"]
"#;

/// RFC 9908 §3.4
const TEMPLATE: &str = "1.2.840.113549.1.9.16.2.61";
const EXTENSION_TEMPLATE: &str = "1.2.840.113549.1.9.16.2.62";

async fn start() -> EstWorld {
    EstWorld::with(|settings| settings.more.push_str(MORE)).await
}

/// The DER of a label's answer, which anybody may have.
async fn attributes(world: &EstWorld, label: &str) -> Vec<u8> {
    let mut client = world.client_of(label, &world.anybody());
    let answer = client.get("csrattrs").await.unwrap().expect(200).unwrap();
    assert_eq!(answer.header("content-type"), Some("application/csrattrs"));
    assert_eq!(answer.header("content-transfer-encoding"), Some("base64"));
    decode_base64(&answer.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_without_wishes_has_no_content() {
    let world = start().await;
    for (version, tls) in TLS_VERSIONS {
        let mut client = world.client(&world.anybody().over(tls));
        let answer = client.get("csrattrs").await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{version}");
        let answer = client
            .request(Method::POST, "csrattrs", &[], Vec::new())
            .await;
        check_refusal(version, &answer.unwrap(), 405);
    }
}

/// RFC 7030 §4.5.2: object identifiers and attributes with values.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_given_as_it_is_configured() {
    let world = start().await;
    let der = attributes(&world, "listed").await;
    let items = Element::of(&der).parts();
    assert_eq!(items.len(), 3);
    assert_eq!(items[0].oid(), "1.2.840.113549.1.9.7");
    let attribute = items[1].parts();
    assert_eq!(attribute[0].oid(), "1.2.840.10045.2.1");
    assert_eq!(attribute[1].parts()[0].oid(), "1.3.132.0.34");
    assert_eq!(items[2].oid(), "1.2.3.4.5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_says_what_a_csr_is_to_look_like() {
    let world = start().await;
    let der = attributes(&world, "template").await;
    let items = Element::of(&der).parts();
    assert_eq!(items.len(), 2);
    let attribute = items[1].parts();
    assert_eq!(attribute[0].oid(), TEMPLATE);
    let template = attribute[1].parts()[0].parts();
    assert_eq!(template[0].content, [0], "version");

    // NameTemplate: a name without a value is for the client.
    let names = template[1].parts();
    let single = |name: &Element<'_>| name.parts()[0].parts().len();
    assert_eq!((single(&names[0]), single(&names[1])), (1, 2));
    assert_eq!(names[1].parts()[0].parts()[1].content, b"Example");

    // [0] SubjectPublicKeyInfoTemplate: an algorithm, and no key.
    assert_eq!(template[2].tag, 0xa0);
    let algorithm = template[2].parts()[0].parts();
    assert_eq!(algorithm[0].oid(), "1.2.840.10045.2.1");
    assert_eq!(algorithm[1].oid(), "1.2.840.10045.3.1.7");
    assert_eq!(template[2].parts().len(), 1);

    // [1] attributes: an extension template each.
    assert_eq!(template[3].tag, 0xa1);
    let attribute = template[3].parts()[0].parts();
    assert_eq!(attribute[0].oid(), EXTENSION_TEMPLATE);
    let extensions = attribute[1].parts()[0].parts();
    let found: Vec<_> = extensions
        .iter()
        .map(|extension| (extension.parts()[0].oid(), extension.parts().len()))
        .collect();
    let expected = [("2.5.29.17", 1), ("2.5.29.15", 3), ("2.5.29.37", 2)];
    assert_eq!(found, expected.map(|(oid, parts)| (oid.to_owned(), parts)));
}
