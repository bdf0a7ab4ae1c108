//! What was measured, line by line, and what was aimed at.

use super::load::{Load, Run};
use super::{Connections, Operation};

/// Times the floor's CPU that a request may take.
const MOST: f64 = 2.25;

/// Enrollments a second, each on a new connection, on two cores of today.
const LEAST: f64 = 1000.0;

#[derive(Default)]
pub(super) struct Report {
    aims: Vec<(bool, String)>,
}

impl Report {
    pub(super) fn add(&mut self, load: &Load, floor: &Run, ours: &Run) {
        let operation = match load.operation {
            Operation::CaCerts => "cacerts",
            Operation::SimpleEnroll => "simpleenroll",
        };
        let connections = match load.connections {
            Connections::Kept => "connection kept",
            Connections::New => "new TLS 1.3 connection",
        };
        let name = format!("{operation}, {connections}");
        line(&name, "floor", floor);
        line("", "certdock", ours);
        let ratio = ours.cpu_per_request() / floor.cpu_per_request();
        self.aims.push((
            ratio <= MOST,
            format!("{name}: CPU {ratio:.2} of the floor, at most {MOST}"),
        ));
        let lost = ours.failed + floor.failed;
        self.aims
            .push((lost == 0, format!("{name}: {lost} requests failed")));
        if (load.operation, load.connections) == (Operation::SimpleEnroll, Connections::New) {
            let rate = ours.rate();
            self.aims.push((
                rate >= LEAST,
                format!("{name}: {rate:.0} a second, at least {LEAST:.0} on two cores"),
            ));
        }
    }

    /// What is aimed at leaves out that somebody else made the certificate, which is checked therefore.
    pub(super) fn add_checked(&self, floor: &Run, ours: &Run) {
        line("", "+ check", floor);
        let ratio = ours.cpu_per_request() / floor.cpu_per_request();
        println!(
            "{:<37} {ratio:.2} of a floor that checks its certificate",
            ""
        );
    }

    pub(super) fn aims(self) -> Vec<(bool, String)> {
        self.aims
    }
}

fn line(name: &str, server: &str, run: &Run) {
    println!(
        "{name:<37} {server:<9} {:>8.1}/s  CPU {:>6.3} ms/request  {} failed",
        run.rate(),
        run.cpu_per_request(),
        run.failed,
    );
    if let Some(error) = &run.error {
        println!("          first failure: {error}");
    }
}
