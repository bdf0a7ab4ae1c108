//! [`Urls`]: the absolute URLs of one endpoint's resources, and the routes they lead to.

use crate::ids::{AccountId, AuthorizationId, CertificateId, EndpointName, OrderId};
use crate::order::ChallengeType;

/// Route patterns, relative to `/acme/NAME`.
pub(super) mod path {
    pub(in crate::acme) const DIRECTORY: &str = "/directory";
    pub(in crate::acme) const NEW_NONCE: &str = "/new-nonce";
    pub(in crate::acme) const NEW_ACCOUNT: &str = "/new-account";
    pub(in crate::acme) const NEW_ORDER: &str = "/new-order";
    pub(in crate::acme) const NEW_AUTHZ: &str = "/new-authz";
    pub(in crate::acme) const REVOKE_CERT: &str = "/revoke-cert";
    pub(in crate::acme) const KEY_CHANGE: &str = "/key-change";
    pub(in crate::acme) const ACCOUNT: &str = "/account/{id}";
    pub(in crate::acme) const ORDERS: &str = "/account/{id}/orders";
    pub(in crate::acme) const ORDER: &str = "/order/{id}";
    pub(in crate::acme) const FINALIZE: &str = "/order/{id}/finalize";
    pub(in crate::acme) const AUTHORIZATION: &str = "/authorization/{id}";
    pub(in crate::acme) const CHALLENGE: &str = "/challenge/{authorization}/{type}";
    pub(in crate::acme) const CERTIFICATE: &str = "/certificate/{id}";
    pub(in crate::acme) const ALTERNATE: &str = "/certificate/{id}/{alternate}";
}

/// Builds the URLs that answers advertise. There is one for each resource, and clients sign it.
#[derive(Clone, Debug)]
pub struct Urls {
    base: String,
    prefix: String,
}

impl Urls {
    /// `base` has no final slash.
    #[must_use]
    pub fn new(base: &str, endpoint: &EndpointName) -> Self {
        Self {
            base: base.to_owned(),
            prefix: format!("/acme/{endpoint}"),
        }
    }

    /// The path below which the endpoint's resources live.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The URL under which a client addresses `path_and_query`.
    #[must_use]
    pub fn requested(&self, path_and_query: &str) -> String {
        [&self.base, path_and_query].concat()
    }

    /// Whether `url` is the URL under which a client addresses `path_and_query`.
    #[must_use]
    pub fn is_requested(&self, url: &str, path_and_query: &str) -> bool {
        url.strip_prefix(self.base.as_str()) == Some(path_and_query)
    }

    #[must_use]
    pub fn directory(&self) -> String {
        self.to(path::DIRECTORY)
    }

    #[must_use]
    pub fn new_nonce(&self) -> String {
        self.to(path::NEW_NONCE)
    }

    #[must_use]
    pub fn new_account(&self) -> String {
        self.to(path::NEW_ACCOUNT)
    }

    #[must_use]
    pub fn new_order(&self) -> String {
        self.to(path::NEW_ORDER)
    }

    #[must_use]
    pub fn new_authz(&self) -> String {
        self.to(path::NEW_AUTHZ)
    }

    #[must_use]
    pub fn revoke_cert(&self) -> String {
        self.to(path::REVOKE_CERT)
    }

    #[must_use]
    pub fn key_change(&self) -> String {
        self.to(path::KEY_CHANGE)
    }

    #[must_use]
    pub fn account(&self, id: AccountId) -> String {
        self.to(&format!("/account/{id}"))
    }

    /// The account that `url` names, if it is one of this endpoint's account URLs.
    #[must_use]
    pub fn account_id(&self, url: &str) -> Option<AccountId> {
        url.strip_prefix(self.base.as_str())?
            .strip_prefix(self.prefix.as_str())?
            .strip_prefix("/account/")?
            .parse()
            .ok()
    }

    #[must_use]
    pub fn orders(&self, account: AccountId) -> String {
        self.to(&format!("/account/{account}/orders"))
    }

    #[must_use]
    pub fn order(&self, id: OrderId) -> String {
        self.to(&format!("/order/{id}"))
    }

    #[must_use]
    pub fn finalize(&self, id: OrderId) -> String {
        self.to(&format!("/order/{id}/finalize"))
    }

    #[must_use]
    pub fn authorization(&self, id: AuthorizationId) -> String {
        self.to(&format!("/authorization/{id}"))
    }

    #[must_use]
    pub fn challenge(&self, authorization: AuthorizationId, kind: ChallengeType) -> String {
        self.to(&format!("/challenge/{authorization}/{kind}"))
    }

    #[must_use]
    pub fn certificate(&self, id: CertificateId) -> String {
        self.to(&format!("/certificate/{id}"))
    }

    /// The certificate with its `n`th alternate chain, from 0.
    #[must_use]
    pub fn alternate(&self, id: CertificateId, n: usize) -> String {
        self.to(&format!("/certificate/{id}/{n}"))
    }

    fn to(&self, path: &str) -> String {
        [&self.base, &self.prefix, path].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_account_urls_of_this_endpoint_name_an_account() {
        let urls = Urls::new("https://ca.example", &"a".parse().unwrap());
        let id = AccountId::from_bytes([7; 16]);
        let url = urls.account(id);
        assert_eq!(urls.account_id(&url), Some(id));
        for foreign in [
            id.to_string(),
            format!("{url}/"),
            format!("{url}?"),
            url.replace("https:", "http:"),
            url.replace("/a/", "/b/"),
            url.replace("/account/", "/order/"),
            urls.orders(id),
        ] {
            assert_eq!(urls.account_id(&foreign), None, "{foreign}");
        }
    }
}
