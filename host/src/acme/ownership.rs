//! The one place that decides whose a resource is: what is somebody else's, of another endpoint, or
//! not there at all looks the same from outside.

use crate::acme::Acme;
use crate::acme::problem::Problem;
use crate::ids::{AccountId, AuthorizationId, CertificateId, EndpointName, OrderId};
use crate::order::{Authorization, Order};
use crate::store::{Account, Certificate};

impl Acme {
    /// The account's order with its authorizations.
    pub(super) async fn order_of(
        &self,
        account: &Account,
        id: OrderId,
    ) -> Result<(Order, Vec<Authorization>), Problem> {
        owned(self.store.order(id).await?, account)
    }

    pub(super) async fn authorization_of(
        &self,
        account: &Account,
        id: AuthorizationId,
    ) -> Result<Authorization, Problem> {
        owned(self.store.authorization(id).await?, account)
    }

    /// One that may be delivered.
    pub(super) async fn certificate_of(
        &self,
        account: &Account,
        id: CertificateId,
    ) -> Result<Certificate, Problem> {
        let found = self.store.certificate(id).await?;
        owned(found.filter(|found| !found.withheld), account)
    }
}

/// What belongs to an account at an endpoint.
trait Owned {
    fn owner(&self) -> (Option<AccountId>, &EndpointName);
}

impl Owned for (Order, Vec<Authorization>) {
    fn owner(&self) -> (Option<AccountId>, &EndpointName) {
        (Some(self.0.account), &self.0.endpoint)
    }
}

impl Owned for Authorization {
    fn owner(&self) -> (Option<AccountId>, &EndpointName) {
        (Some(self.account), &self.endpoint)
    }
}

impl Owned for Certificate {
    fn owner(&self) -> (Option<AccountId>, &EndpointName) {
        (self.account, &self.endpoint)
    }
}

fn owned<T: Owned>(found: Option<T>, account: &Account) -> Result<T, Problem> {
    found
        .filter(|found| found.owner() == (Some(account.id), &account.endpoint))
        .ok_or_else(Problem::not_found)
}
