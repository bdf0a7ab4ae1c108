#![forbid(unsafe_code)]
use certdock_plugin_api::{
    CaCerts, CaHandler, EnrollRequest, Enrollment, Fault, Host, config, export_ca_handler,
};

config! {
    /// The `[handlers.NAME.config]` table.
    pub struct Config {
        /// x
        #[serde(default)]
        pub greeting: String,
    }
}

pub struct Skeleton;

impl CaHandler for Skeleton {
    type Config = Config;
    fn open(config: Config, host: Host) -> Result<Self, Fault> {
        host.info("opened", &[("greeting", &config.greeting)]);
        Ok(Self)
    }
    fn enroll(&self, _: &EnrollRequest) -> Result<Enrollment, Fault> {
        Err(Fault::unsupported("enroll is not implemented"))
    }
    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        Err(Fault::unsupported("ca_certs_get is not implemented"))
    }
}

export_ca_handler! {
    handler: Skeleton,
    id: "skeleton",
    vendor: "The certdock developers",
    provides: [],
}
