//! The server's own certificate.

use std::fs;
use std::time::{Duration, Instant};

use certdock_tests::World;
use certdock_tests::acme::Client;
use certdock_tests::tls::{Identity, client_config};

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_again_when_they_change() {
    let world = World::start().await;
    let other = Identity::new();
    let tls = client_config(&other.root);
    assert!(
        Client::new(&world.server.directory(), tls.clone())
            .await
            .is_err()
    );
    fs::write(world.server.dir().join("tls.key"), &other.key).unwrap();
    fs::write(world.server.dir().join("tls.pem"), &other.certificate).unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while Client::new(&world.server.directory(), tls.clone())
        .await
        .is_err()
    {
        assert!(Instant::now() < end, "the new certificate is not served");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_bad_leave_the_old_certificate() {
    let world = World::start().await;
    fs::write(world.server.dir().join("tls.pem"), "not PEM").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.client().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_makes_the_certificate() {
    let world = World::with(|settings| settings.own_certificate = true).await;
    let root = fs::read_to_string(world.server.dir().join("ca/root.pem")).unwrap();
    Client::new(&world.server.directory(), client_config(&root))
        .await
        .unwrap();
}
