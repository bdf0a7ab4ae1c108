//! Processes of our own, and what a process has used, from /proc.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

/// User and system time so far, with that of the processes it started.
pub(crate) fn cpu(pid: u32) -> Duration {
    let ticks: u64 = family(pid)
        .into_iter()
        .filter_map(Stat::of)
        .map(|stat| stat.ticks)
        .sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The most memory it has had resident, with that of the processes it started, in KiB.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    let peak = |pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    family(pid).into_iter().filter_map(peak).sum()
}

/// A process, and those that it started.
fn family(pid: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Some((pid, Stat::of(pid)?.parent))
    });
    let children = all.filter(|(_, parent)| *parent == pid);
    std::iter::once(pid)
        .chain(children.map(|(child, _)| child))
        .collect()
}

struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold spaces; field 3 follows it.
        let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            ticks: number(11)? + number(12)?,
        })
    }
}

/// Stopped when it is dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone or it goes now; both are fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
