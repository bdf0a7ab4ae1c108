//! EST requests: cacerts and simpleenroll, on connections that are kept and on new ones, beside a
//! bare server that does the necessary work only.

mod floor;
mod load;
mod report;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use certdock_tests::est::{Caller, EstWorld};
use certdock_tests::program::build_dir;
use certdock_tests::tls::Identity;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::version::TLS13;

use self::floor::CHECKED;
use self::load::{Load, Target};
use self::report::Report;
use crate::pebble;
use crate::process::Running;
use crate::subject::IN_PROCESS;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    CaCerts,
    SimpleEnroll,
}

/// Whether a connection serves one request or many.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connections {
    Kept,
    New,
}

const OPERATIONS: [Operation; 2] = [Operation::CaCerts, Operation::SimpleEnroll];
const CONNECTIONS: [Connections; 2] = [Connections::Kept, Connections::New];

/// Measures both servers in turn and prints what came of it; what was aimed at, and whether it was
/// reached.
pub(crate) async fn measure(time: Duration) -> Vec<(bool, String)> {
    println!("\nEST at concurrency 8: certdock beside a bare server (the floor)");
    let (floor, floor_target) = start_floor();
    let mut world = EstWorld::prepare_in(
        |settings| IN_PROCESS.clone_into(&mut settings.handler),
        &build_dir(),
    );
    world.server.restart();
    let user = world.user("bench").await;
    let target = Target {
        base: world.base(),
        tls: client_config(&user),
        pid: world.server.pid().as_raw_nonzero().get().unsigned_abs(),
        authorization: user.authorization(),
        check: true,
    };
    let mut report = Report::default();
    for operation in OPERATIONS {
        for connections in CONNECTIONS {
            let load = Load {
                operation,
                connections,
                time,
            };
            let least = load.run(&floor_target).await;
            let ours = load.run(&target).await;
            report.add(&load, &least, &ours);
            if operation == Operation::SimpleEnroll {
                let checked = load.run(&floor_target.under(CHECKED)).await;
                report.add_checked(&checked, &ours);
            }
        }
    }
    drop(floor);
    report.aims()
}

/// The bare server as a process of its own, so that its CPU can be told from the load's.
fn start_floor() -> (Floor, Target) {
    let dir = tempfile::Builder::new()
        .prefix("est-floor-")
        .tempdir_in(build_dir())
        .unwrap();
    let identity = Identity::new();
    std::fs::write(dir.path().join("tls.pem"), &identity.certificate).unwrap();
    std::fs::write(dir.path().join("tls.key"), &identity.key).unwrap();
    let port = certdock_tests::ports::free();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["est-floor-server", &port.to_string()]);
    let process = Running::start(command.arg(dir.path()));
    pebble::wait_for(port);
    let target = Target {
        base: format!("https://localhost:{port}"),
        tls: client_config(&Caller::new(&identity.root)),
        pid: process.id(),
        authorization: None,
        check: false,
    };
    (
        Floor {
            _process: process,
            _dir: dir,
        },
        target,
    )
}

/// Kept for its end: dropping it stops the server.
struct Floor {
    _process: Running,
    _dir: tempfile::TempDir,
}

/// TLS 1.3, each handshake a whole one.
fn client_config(caller: &Caller) -> Arc<ClientConfig> {
    let config = caller.clone().over(&TLS13).client_config();
    let mut config = Arc::unwrap_or_clone(config);
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// The bare server's own process.
pub(crate) async fn serve_floor(port: u16, dir: PathBuf) {
    floor::serve(port, dir).await;
}
