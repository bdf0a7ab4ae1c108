//! Signatures of what can be rolled back to.

use std::fs;

use certdock_tests::World;
use minisign::KeyPair;

use super::{LIBRARY, command, eventually, generation, upgrade, version};

/// A vendor's signature may come long after the file, and be demanded from then on.
#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_came_later_lets_the_file_be_rolled_back_to() {
    let vendor = KeyPair::generate_unencrypted_keypair().unwrap();
    let world = World::start().await;
    let sign = |bytes: &[u8]| {
        let signature = minisign::sign(Some(&vendor.pk), &vendor.sk, bytes, Some("release"), None);
        let file = world.server.plugins().join(format!("{LIBRARY}.minisig"));
        fs::write(file, signature.unwrap().into_string()).unwrap();
    };
    sign(&fs::read(world.server.plugins().join(LIBRARY)).unwrap());
    let demand = format!(
        "[plugins]\nrequire = \"signature\"\nkeys = [\"{}\"]",
        vendor.pk.to_base64()
    );
    let config = world.server.settings.toml().replace("[plugins]", &demand);
    world.server.write_config(&config);
    eventually("the signature is checked", async || {
        let list = command(&world, &["plugin", "list"]).await;
        let rows = list["items"].as_array().unwrap();
        rows.iter()
            .any(|row| row["id"] == "openssl-local" && row["trusted"] == "signed")
    })
    .await;
    assert_eq!(generation(&world), 1);
    sign(&version(1));
    upgrade(&world, 1).await;
    let now = command(&world, &["plugin", "rollback", "local"]).await;
    assert_eq!(now["version"], "0.1.0");
}
