//! CMC (RFC 5272): the request of a certificate, and what is answered.

use std::time::Duration;

use super::parse::{Item, item};
use crate::time::UnixTime;
use crate::x509::encode::{context, integer, octet_string, oid, sequence, set_of, tlv, utf8};

pub const PKI_DATA: &str = "1.3.6.1.5.5.7.12.2";
pub const PKI_RESPONSE: &str = "1.3.6.1.5.5.7.12.3";

const TRANSACTION_ID: &str = "1.3.6.1.5.5.7.7.5";
const SENDER_NONCE: &str = "1.3.6.1.5.5.7.7.6";
const RECIPIENT_NONCE: &str = "1.3.6.1.5.5.7.7.7";
const QUERY_PENDING: &str = "1.3.6.1.5.5.7.7.21";
const STATUS_INFO_V2: &str = "1.3.6.1.5.5.7.7.25";

/// A PKIData that asks for one thing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Data<'a> {
    pub wanted: Option<Wanted<'a>>,
    /// The body part that asks for it: an INTEGER, DER.
    body_part: Option<&'a [u8]>,
    /// The values of these controls, DER.
    transaction_id: Option<&'a [u8]>,
    sender_nonce: Option<&'a [u8]>,
    /// Why it can't be served, in one sentence.
    pub problem: Option<&'static str>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// A certificate, by a PKCS #10 request, DER.
    Certificate(&'a [u8]),
    /// What became of a request that was answered with this token.
    Pending(&'a [u8]),
}

/// RFC 5272 §6.1.4
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailInfo {
    BadMessageCheck = 1,
    BadRequest = 2,
    BadIdentity = 7,
    InternalCaError = 11,
    TryLater = 12,
}

/// What is answered.
pub enum Status<'a> {
    Success,
    Pending { token: &'a [u8], wait: Duration },
    Failed { info: FailInfo, reason: &'a str },
}

const UNREADABLE: &str = "the message is not a PKIData in DER";

impl<'a> Data<'a> {
    /// Reads as far as it can: also what can't be served is answered under its own transaction id.
    pub fn parse(content: &'a [u8]) -> Self {
        let mut data = Self::default();
        if data.read(content).is_none() {
            data.problem = Some(UNREADABLE);
        }
        if data.wanted.is_none() && data.problem.is_none() {
            data.problem = Some("the message asks for nothing");
        }
        data
    }

    fn read(&mut self, content: &'a [u8]) -> Option<()> {
        let parts = item(content)?.inside(0x30)?;
        let [controls, requests, messages, others] = parts[..] else {
            return None;
        };
        for control in controls.inside(0x30)? {
            self.read_control(control)?;
        }
        for request in requests.inside(0x30)? {
            // TaggedCertificationRequest, [0] in place of its SEQUENCE.
            match request.inside(0xa0).as_deref() {
                Some([body_part, csr]) => self.want(body_part, Wanted::Certificate(csr.tlv)),
                _ => self.problem = Some("only PKCS #10 requests are taken here"),
            }
        }
        if !messages.value.is_empty() || !others.value.is_empty() {
            self.problem = Some("messages inside of the message are not taken here");
        }
        Some(())
    }

    /// TaggedAttribute: body part, type, SET of values.
    fn read_control(&mut self, control: Item<'a>) -> Option<()> {
        let [body_part, kind, values] = control.inside(0x30)?[..] else {
            return None;
        };
        let [value] = values.inside(0x31)?[..] else {
            return None;
        };
        if kind.tlv == oid(TRANSACTION_ID) {
            self.transaction_id = Some(value.tlv);
        } else if kind.tlv == oid(SENDER_NONCE) {
            self.sender_nonce = Some(value.tlv);
        } else if kind.tlv == oid(QUERY_PENDING) {
            self.want(&body_part, Wanted::Pending(value.bytes(0x04)?));
        } else if kind.tlv != oid(RECIPIENT_NONCE) {
            self.problem = Some("the message has a control that is not known here");
        }
        Some(())
    }

    fn want(&mut self, body_part: &Item<'a>, wanted: Wanted<'a>) {
        if self.wanted.is_some() {
            self.problem = Some("the message asks for more than one thing");
        }
        self.body_part = (body_part.tag == 0x02).then_some(body_part.tlv);
        self.wanted = Some(wanted);
    }

    /// The PKIResponse to it, DER.
    pub fn respond(&self, status: &Status<'_>) -> Vec<u8> {
        let mut controls = vec![(STATUS_INFO_V2, self.status_info(status))];
        if let Some(id) = self.transaction_id {
            controls.push((TRANSACTION_ID, id.to_vec()));
        }
        if let Some(nonce) = self.sender_nonce {
            let own = crate::random::bytes::<16>();
            controls.push((RECIPIENT_NONCE, nonce.to_vec()));
            controls.push((SENDER_NONCE, octet_string(&own)));
        }
        let controls: Vec<Vec<u8>> = (1..)
            .zip(controls)
            .map(|(place, (kind, value))| {
                sequence(&[&integer(place), &oid(kind), &set_of(vec![value])])
            })
            .collect();
        sequence(&[
            &sequence(&[&controls.concat()]),
            &sequence(&[]),
            &sequence(&[]),
        ])
    }

    /// CMCStatusInfoV2
    fn status_info(&self, status: &Status<'_>) -> Vec<u8> {
        // A list may not be empty; 0 is the whole message (RFC 5272 §3.2.2).
        let whole = integer(0);
        let body_list = sequence(&[self.body_part.unwrap_or(&whole)]);
        match status {
            Status::Success => sequence(&[&integer(0), &body_list]),
            Status::Pending { token, wait } => {
                let at = generalized_time(UnixTime::now().plus(*wait));
                let pending = context(0, &[&octet_string(token), &at]);
                sequence(&[&integer(3), &body_list, &pending])
            }
            Status::Failed { info, reason } => sequence(&[
                &integer(2),
                &body_list,
                &utf8(reason),
                &integer(*info as u64),
            ]),
        }
    }
}

fn generalized_time(at: UnixTime) -> Vec<u8> {
    let moment = time::OffsetDateTime::from_unix_timestamp(at.as_secs())
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second()
    );
    tlv(0x18, &[text.as_bytes()])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn control(kind: &str, value: Vec<u8>) -> Vec<u8> {
        sequence(&[&integer(9), &oid(kind), &set_of(vec![value])])
    }

    fn data(controls: &[&[u8]], requests: &[&[u8]], messages: &[u8]) -> Vec<u8> {
        sequence(&[
            &sequence(&[&controls.concat()]),
            &sequence(&[&requests.concat()]),
            &sequence(&[messages]),
            &sequence(&[]),
        ])
    }

    #[test]
    fn one_thing_is_asked_for() {
        let csr = sequence(&[b"\x02\x01\x07"]);
        let request = context(0, &[&integer(5), &csr]);
        let query = control(QUERY_PENDING, octet_string(b"token"));
        let crmf = context(1, &[&integer(5), &csr]);
        let cases = [
            (data(&[], &[&request], &[]), ""),
            (data(&[&query], &[], &[]), ""),
            (data(&[], &[], &[]), "asks for nothing"),
            (data(&[&query], &[&request], &[]), "more than one"),
            (data(&[], &[&request, &request], &[]), "more than one"),
            (data(&[], &[&crmf], &[]), "only PKCS #10"),
            (data(&[], &[&request], &integer(1)), "inside of the message"),
            (
                data(
                    &[&control("1.3.6.1.5.5.7.7.17", integer(1))],
                    &[&request],
                    &[],
                ),
                "a control that is not known",
            ),
            (integer(1), "not a PKIData"),
        ];
        for (content, expect) in cases {
            let problem = Data::parse(&content).problem.unwrap_or_default();
            assert!(
                problem.contains(expect) && expect.is_empty() == problem.is_empty(),
                "{problem}"
            );
        }
    }

    #[test]
    fn answers_belong_to_their_request() {
        let csr = sequence(&[]);
        let content = data(
            &[
                &control(TRANSACTION_ID, integer(77)),
                &control(SENDER_NONCE, octet_string(b"nonce")),
            ],
            &[&context(0, &[&integer(5), &csr])],
            &[],
        );
        let data = Data::parse(&content);
        assert_eq!(data.wanted, Some(Wanted::Certificate(&csr)));
        let response = data.respond(&Status::Failed {
            info: FailInfo::BadRequest,
            reason: "no",
        });
        let holds = |part: &[u8]| response.windows(part.len()).any(|bytes| bytes == part);
        assert!(holds(&integer(77)) && holds(&octet_string(b"nonce")));
        let status = sequence(&[
            &integer(2),
            &sequence(&[&integer(5)]),
            &utf8("no"),
            &integer(2),
        ]);
        assert!(holds(&status));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let data = Data::parse(&bytes);
            let _ = data.respond(&Status::Success);
        }
    }
}
