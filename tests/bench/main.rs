//! `cargo xtask bench`: complete orders against certdock, pebble and the floor, and EST requests
//! against certdock and a floor of their own, on this machine.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that can't be made ends the program"
)]

mod call_cost;
mod est;
mod floor;
mod floor_server;
mod full;
mod load;
mod necessary;
mod pebble;
mod process;
mod report;
mod subject;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::load::Load;
use crate::report::Report;
use crate::subject::{Isolation, Subject};

const CONCURRENCY: &[usize] = &[1, 8, 32];

/// How often a server that hangs gets another chance.
const ATTEMPTS: usize = 6;

/// The shortest run that still says something.
const SHORTEST: Duration = Duration::from_secs(2);

#[derive(Parser)]
#[command(
    name = "bench",
    about = "Complete orders against certdock, pebble and the floor"
)]
struct Options {
    /// Also 10,000 orders at concurrency 32, and the rate with 50,000 orders stored
    #[arg(long)]
    full: bool,
    /// Leave pebble out
    #[arg(long)]
    no_pebble: bool,
    /// Leave certdock out
    #[arg(long)]
    no_certdock: bool,
    /// Measure this only
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// Seconds of each measured run
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    Acme,
    Est,
    Calls,
}

#[derive(Subcommand)]
enum Role {
    /// The bare server that the floor is measured by; the benchmark starts it
    FloorServer {
        port: u16,
        dns: SocketAddr,
        http01_port: u16,
        dir: PathBuf,
    },
    /// The same for EST
    EstFloorServer { port: u16, dir: PathBuf },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    match options.role {
        Some(Role::FloorServer {
            port,
            dns,
            http01_port,
            dir,
        }) => {
            runtime.block_on(floor_server::serve(port, dns, http01_port, dir));
            ExitCode::SUCCESS
        }
        Some(Role::EstFloorServer { port, dir }) => {
            runtime.block_on(est::serve_floor(port, dir));
            ExitCode::SUCCESS
        }
        None => runtime.block_on(measure(&options)),
    }
}

async fn measure(options: &Options) -> ExitCode {
    let mut report = Report::default();
    let time = Duration::from_secs(options.seconds);
    let wanted = |what| options.only.is_none_or(|only| only == what);
    if wanted(Only::Calls) {
        let (held, text) = call_cost::measure().await;
        report.aim(held, text);
    }
    if wanted(Only::Acme) {
        measure_acme(options, &mut report, time).await;
    }
    if wanted(Only::Est) {
        for (held, text) in est::measure(time).await {
            report.aim(held, text);
        }
    }
    report.summary()
}

async fn measure_acme(options: &Options, report: &mut Report, time: Duration) {
    println!("the floor: bare HTTPS server, necessary work only, concurrency 8");
    report.floor(floor::measure(time).await);
    for &concurrency in CONCURRENCY {
        if !options.no_certdock {
            let subject = Subject::certdock(Isolation::InProcess).await;
            let run = load::run(&subject, &Load::timed(concurrency, time)).await;
            report.certdock(concurrency, run);
        }
        if !options.no_certdock && concurrency == floor::CONCURRENCY {
            let subject = Subject::certdock(Isolation::Worker).await;
            let run = load::run(&subject, &Load::timed(concurrency, time)).await;
            report.worker(concurrency, &run);
        }
        if !options.no_pebble {
            measure_pebble(report, concurrency, time).await;
        }
    }
    if options.full {
        full::ten_thousand(report).await;
        full::fifty_thousand_stored(report, time).await;
    }
}

/// Pebble may lock up for good; such a run is told and made again, each time half as long, since the
/// longer it runs the likelier it is to lock up.
async fn measure_pebble(report: &mut Report, concurrency: usize, time: Duration) {
    let mut time = time;
    for _ in 0..ATTEMPTS {
        let subject = Subject::pebble().await;
        let run = load::run(&subject, &Load::timed(concurrency, time)).await;
        if report.pebble(concurrency, run) {
            return;
        }
        time = (time / 2).max(SHORTEST);
    }
}
