//! [`Operation`]: what a client may ask for (RFC 7030 §3.2.2).

use std::fmt;

use http::Method;

use crate::est::status::Refusal;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    CaCerts,
    CsrAttrs,
    FullCmc,
    ServerKeyGen,
    SimpleEnroll,
    SimpleReenroll,
}

impl Operation {
    pub const ALL: [Self; 6] = [
        Self::CaCerts,
        Self::FullCmc,
        Self::CsrAttrs,
        Self::ServerKeyGen,
        Self::SimpleEnroll,
        Self::SimpleReenroll,
    ];

    /// As it stands in the path.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CaCerts => "cacerts",
            Self::CsrAttrs => "csrattrs",
            Self::FullCmc => "fullcmc",
            Self::ServerKeyGen => "serverkeygen",
            Self::SimpleEnroll => "simpleenroll",
            Self::SimpleReenroll => "simplereenroll",
        }
    }

    /// The methods it takes, as in an `Allow` header.
    fn allow(self) -> &'static str {
        match self {
            Self::CaCerts | Self::CsrAttrs => "GET, HEAD",
            Self::FullCmc | Self::ServerKeyGen | Self::SimpleEnroll | Self::SimpleReenroll => {
                "POST"
            }
        }
    }

    pub(super) fn check_method(self, method: &Method) -> Result<(), Refusal> {
        let fine = self
            .allow()
            .split(", ")
            .any(|allowed| allowed == method.as_str());
        if fine {
            Ok(())
        } else {
            Err(Refusal::wrong_method(self.allow()))
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
