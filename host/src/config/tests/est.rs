//! `[est.NAME]`

use super::*;

const AROUND: &str = "[server]\ntls.handler = 'a'\n[handlers.a]\nplugin = 'p'\n[handlers.b]\nplugin = 'p'\n\
    [acme.default]\nhandler = 'a'\n[est.default]\n";

fn est(text: &str) -> Result<EstLabel, String> {
    read(&format!("{AROUND}{text}")).map(|config| config.est["default"].clone())
}

#[test]
fn a_handler_is_enough() {
    let label = est("handler = 'b'").unwrap();
    assert_eq!(label.auth, ClientAuth::Either);
    assert_eq!(label.client_ca_handlers, [label.handler]);
    assert!(label.certificate_names && label.names.is_empty());
    assert_eq!(label.channel_binding, ChannelBinding::WhenPresent);
    assert!(!label.change_subject && label.renewal_window.is_none());
}

#[test]
fn ways_to_say_who_one_is() {
    for (auth, expect) in [
        ("'basic'", Some(ClientAuth::Basic)),
        ("['basic']", Some(ClientAuth::Basic)),
        ("'certificate'", Some(ClientAuth::Certificate)),
        ("'client-certificate'", Some(ClientAuth::Certificate)),
        ("['basic', 'client-certificate']", Some(ClientAuth::Either)),
        ("['certificate', 'basic']", Some(ClientAuth::Either)),
        ("'either'", Some(ClientAuth::Either)),
        ("'both'", Some(ClientAuth::Both)),
        ("['both']", Some(ClientAuth::Both)),
        ("['both', 'basic']", None),
        ("['both', 'either']", None),
        ("[]", None),
        ("'none'", None),
        ("'Basic'", None),
    ] {
        let found = est(&format!("handler = 'a'\nauth = {auth}"));
        assert_eq!(
            found.as_ref().ok().map(|label| label.auth),
            expect,
            "{auth}: {found:?}"
        );
    }
}

#[test]
fn mistakes_are_named() {
    for (text, expect) in [
        (
            "",
            ":9: est.default.handler: this key is missing; name one of [handlers.NAME]",
        ),
        (
            "handler = 'c'",
            ":10: est.default.handler: there is no handler 'c'",
        ),
        (
            "handler = 'a'\nclient_ca_handler = ['b', 'c']",
            ":11: est.default.client_ca_handler: there is no handler 'c'",
        ),
        ("handler = 'a'\nauth = 'basik'", "did you mean 'basic'?"),
        (
            "handler = 'a'\nauth = ['both', 'basic']",
            "these contradict each other",
        ),
        (
            "handler = 'a'\nclient_ca = 'none.pem'",
            ":11: est.default.client_ca: there is no file /etc/certdock/none.pem",
        ),
        (
            "handler = 'a'\nclient_crl = '/dev/null'",
            "these lists are those of the CAs in client_ca",
        ),
        (
            "handler = 'a'\nauth = 'basic'\nrenewal_window = '5d'",
            ":12: est.default.renewal_window: nobody shows a certificate here",
        ),
        (
            "handler = 'a'\nchannel_binding = 'tls-unique'",
            "the TLS library does not give tls-unique, so it can't be checked; write \"required\"",
        ),
        (
            "handler = 'a'\nchannel_binding = 'requird'",
            "did you mean 'required'?",
        ),
        (
            "handler = 'a'\nra_key = '/etc/hostname'",
            "add ra_certificate = \"FILE\"",
        ),
        (
            "handler = 'a'\nra_certificate = '/etc/hostname'",
            "add ra_key = \"FILE\"",
        ),
        (
            "handler = 'a'\nnames = ['10.0.0.1']",
            "est.default.names: '10.0.0.1': the name is an IP",
        ),
        (
            "handler = 'a'\nname = ['a.example']",
            "did you mean 'names'?",
        ),
        ("handler = 'a'\nmax_names = 0", "write 1 to 1000"),
        ("handler = 'a'\nrenewal_window = '0d'", "no time at all"),
        (
            "handler = 'a'\ncsrattrs = ['challengePasword']",
            "did you mean 'challengePassword'?",
        ),
        ("handler = 'a'\ncsrattrs = ['3.1.2']", "'3.1.2' is no OID"),
        ("handler = 'a'\ncsrattrs = ['1.40']", "'1.40' is no OID"),
        ("handler = 'a'\ncsrattrs = ['1.2.03']", "no OID"),
        (
            "handler = 'a'\ncsrattrs = [{ oid = '1.2.3' }]",
            "write an OID, or { oid = ",
        ),
        (
            "handler = 'a'\ncsrattrs = [1]",
            "this is a whole number; write an OID",
        ),
    ] {
        let error = est(text).unwrap_err();
        assert!(error.contains(expect), "{text}: {error}");
    }
    let error = read(&AROUND.replace("[est.default]", "[est.'a/b']\nhandler = 'a'")).unwrap_err();
    assert!(error.contains("est.a/b: 'a/b' is not a name"), "{error}");
}

#[test]
fn csr_attributes() {
    let label = est(
        "handler = 'a'\ncsrattrs = ['challengePassword', '2.999.1', { oid = 'ecPublicKey', values = ['secp384r1'] }]",
    )
    .unwrap();
    let attribute = |oid: &str, values: &[&str]| CsrAttribute {
        oid: oid.to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
    };
    assert_eq!(
        label.csrattrs,
        [
            attribute("1.2.840.113549.1.9.7", &[]),
            attribute("2.999.1", &[]),
            attribute("1.2.840.10045.2.1", &["1.3.132.0.34"]),
        ]
    );
}

#[test]
fn files_make_a_label_careful_with_names() {
    let label = est("handler = 'a'\nclient_ca = '/etc/hostname'").unwrap();
    assert!(label.client_ca_handlers.is_empty() && !label.certificate_names);
    let label = est("handler = 'a'\nclient_ca = '/etc/hostname'\nclient_ca_handler = 'a'\ncertificate_names = true").unwrap();
    assert!(label.client_ca_handlers.len() == 1 && label.certificate_names);
}

#[test]
fn templates_are_read() {
    let label = est(
        "handler = 'a'\n[est.default.template]\nsubject = ['commonName', 'organizationName=A=B']\n\
         key = 'RSA-3072'\nalternative_names = true\nkey_usage = ['digitalSignature', 'cRLSign']\n\
         extended_key_usage = ['clientAuth']",
    );
    let template = label.unwrap().template.unwrap();
    assert_eq!(
        template,
        CsrTemplate {
            subject: vec![
                ("2.5.4.3".into(), None),
                ("2.5.4.10".into(), Some("A=B".into())),
            ],
            key: Some(TemplateKey::Rsa(3072)),
            alternative_names: true,
            key_usage: 0b100_0001,
            extended_key_usage: vec!["1.3.6.1.5.5.7.3.2".into()],
        }
    );
}

#[test]
fn what_a_template_can_not_say_is_named() {
    for (line, expect) in [
        (
            "subject = ['comonName']",
            "'comonName' is not known here; did you mean 'commonName'",
        ),
        ("key = 'P-257'", "'P-257'"),
        ("key_usage = ['sign']", "'sign' is not known here"),
        (
            "extended_key_usage = ['serverauth']",
            "did you mean 'serverAuth'",
        ),
        ("names = true", "names"),
    ] {
        let text = format!("handler = 'a'\n[est.default.template]\n{line}");
        let error = est(&text).unwrap_err();
        assert!(error.contains(expect), "{line}: {error}");
    }
    // RFC 7030 §3.2.2
    let text = format!("{AROUND}handler = 'a'\n[est.cacerts]\nhandler = 'a'");
    let error = read(&text).unwrap_err();
    assert!(error.contains("an EST operation"), "{error}");
}
