//! [`confine`]: a worker takes away its own rights, before it loads a plugin.

use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, LandlockStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::syscalls;
use crate::worker::message::Start;
use crate::worker::{Limits, system};

/// Rights as of Linux 6.12; what an older one does not know is told.
const RIGHTS: ABI = ABI::V6;

/// What a worker keeps of root's powers: those over files, as far as Landlock lets it, over programs that
/// it starts, ports, and memory that is to stay in memory. Not those to raise its limits, or to look into
/// other processes.
const POWERS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::IPC_LOCK);

/// Takes away what no connector needs. What could not be taken away, each in a few words.
pub(super) fn confine(start: &Start) -> Vec<String> {
    let mut lacks = Vec::new();
    let mut note = |what: &str, result: Result<(), String>| {
        if let Err(error) = result {
            lacks.push(format!("{what} ({error})"));
        }
    };
    // A session of its own: no terminal, and no signals that are meant for the server's group. It fails
    // for the leader of a group only.
    let _ = rustix::process::setsid();
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    note("its resources are not limited", limit(&start.limits));
    note(
        "it can gain privileges",
        rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string()),
    );
    note(
        "it has all of root's powers",
        powers().map_err(|error| error.to_string()),
    );
    let landlock = landlock(start).map_err(|error| error.to_string());
    note("it can touch files that are not its own", files(&landlock));
    note(
        "it can send signals to processes that are not its own",
        signals(&landlock),
    );
    note(
        "it can make any system call",
        syscalls::forbid(start.server, start.group).map_err(|error| error.to_string()),
    );
    lacks
}

fn powers() -> rustix::io::Result<()> {
    let mut sets = capabilities(None)?;
    for set in [
        &mut sets.effective,
        &mut sets.permitted,
        &mut sets.inheritable,
    ] {
        *set = set.intersection(POWERS);
    }
    set_capabilities(None, sets)
}

fn limit(limits: &Limits) -> Result<(), String> {
    // What it holds in memory are keys: they must not end up in a file.
    set(Resource::Core, 0, 0)?;
    set(Resource::Data, limits.memory, limits.memory)?;
    set(Resource::Nofile, limits.files, limits.files)?;
    if let Some(cpu) = limits.cpu {
        let seconds = cpu.as_secs().max(1);
        // At the first it is sent SIGXCPU, at the second SIGKILL.
        set(Resource::Cpu, seconds, seconds + 1)?;
    }
    Ok(())
}

fn set(resource: Resource, current: u64, maximum: u64) -> Result<(), String> {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit {
        current: Some(current.min(most)),
        maximum: Some(maximum.min(most)),
    };
    setrlimit(resource, limit).map_err(|error| format!("{resource:?}: {error}"))
}

type Landlock = Result<LandlockStatus, String>;

fn files(landlock: &Landlock) -> Result<(), String> {
    match reaches(landlock, ABI::V5)? {
        true => Ok(()),
        false => Err("in part: this kernel's Landlock is older than Linux 6.10's".to_owned()),
    }
}

fn signals(landlock: &Landlock) -> Result<(), String> {
    match reaches(landlock, RIGHTS)? {
        true => Ok(()),
        false => Err("this kernel's Landlock is older than Linux 6.12's".to_owned()),
    }
}

fn reaches(landlock: &Landlock, abi: ABI) -> Result<bool, String> {
    match landlock {
        Ok(LandlockStatus::Available { effective_abi, .. }) => Ok(*effective_abi >= abi),
        Ok(LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => {
            Err("this kernel has no Landlock".to_owned())
        }
        Err(error) => Err(error.clone()),
    }
}

fn landlock(start: &Start) -> Result<LandlockStatus, RulesetError> {
    let read = AccessFs::from_read(RIGHTS);
    let all = AccessFs::from_all(RIGHTS);
    // The server would follow a link that stands where it reads a secret.
    let write = all & !AccessFs::MakeSym;
    let devices = AccessFs::ReadFile | AccessFs::WriteFile;
    let paths = &start.paths;
    let rules = |paths: Vec<PathBuf>, access: BitFlags<AccessFs>| path_beneath_rules(paths, access);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(rules(
            system::READ.iter().map(PathBuf::from).collect(),
            read,
        ))?
        .add_rules(rules(
            system::DEVICES.iter().map(PathBuf::from).collect(),
            devices,
        ))?
        .add_rules(rules(paths.read.clone(), read))?
        .add_rules(rules(paths.write.clone(), write))?
        .restrict_self()?;
    Ok(status.landlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernel_is_told() {
        let of = |effective_abi| {
            Ok(LandlockStatus::Available {
                effective_abi,
                kernel_abi: None,
            })
        };
        assert_eq!(files(&of(ABI::V6)), Ok(()));
        assert_eq!(signals(&of(ABI::V6)), Ok(()));
        assert_eq!(files(&of(ABI::V5)), Ok(()));
        let partly = signals(&of(ABI::V5)).unwrap_err();
        assert!(partly.contains("6.12"), "{partly}");
        let partly = files(&of(ABI::V4)).unwrap_err();
        assert!(partly.contains("in part"), "{partly}");
        for lack in [files, signals] {
            let none = lack(&Ok(LandlockStatus::NotEnabled)).unwrap_err();
            assert!(none.contains("no Landlock"), "{none}");
            let failed = lack(&Err("it broke".to_owned())).unwrap_err();
            assert_eq!(failed, "it broke");
        }
    }
}
