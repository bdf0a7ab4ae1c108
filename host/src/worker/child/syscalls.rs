//! [`forbid`]: system calls that no connector needs fail, as if the user had no right to them.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter, sock_filter,
};

/// Looking into other processes, changing the system, and doors that have been found open too often.
const FORBIDDEN: &[i64] = &[
    // other processes
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_tkill,
    // file systems, name spaces
    libc::SYS_chroot,
    libc::SYS_fanotify_init,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_setns,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    // the kernel
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_perf_event_open,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    // its keys, its clocks, its names
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_keyctl,
    libc::SYS_personality,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
];

/// Programs ask for these and have another way where the kernel lacks them. A filter can't see what
/// they are asked to do.
const ABSENT: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_pidfd_send_signal,
];

/// Calls that act on the process that their first argument names.
const ON_A_PROCESS: &[i64] = &[
    libc::SYS_kill,
    libc::SYS_pidfd_open,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tgkill,
];

/// Calls that act on whoever their first argument names: a process, by the number of any of its threads.
/// The caller itself is 0.
const ON_ANYBODY: &[i64] = &[
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
];

/// Calls whose first argument says of what kind the second is, which names whom they act on; and the
/// kind that is a process.
const ON_A_KIND: &[(i64, i32)] = &[
    // IOPRIO_WHO_PROCESS
    (libc::SYS_ioprio_set, 1),
    // PRIO_PROCESS
    (libc::SYS_setpriority, 0),
];

/// Calls and commands that say whom the kernel sends a signal when there is something to read.
const NEW_OWNER: &[(i64, i32)] = &[
    (libc::SYS_fcntl, libc::F_SETOWN),
    // F_SETOWN_EX
    (libc::SYS_fcntl, 15),
    // FIOSETOWN, SIOCSPGRP
    (libc::SYS_ioctl, 0x8901),
    (libc::SYS_ioctl, 0x8902),
];

/// Flags of `clone`.
const NEW_SPACES: [i32; 4] = [
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
];

/// With this bit in their numbers, x86_64 kernels that have them take the same calls in another form (x32),
/// which the numbers above don't meet. No other kernel's numbers come near it.
const OTHER_FORM: u32 = 0x4000_0000;

#[derive(Debug, thiserror::Error)]
pub(super) enum NotForbidden {
    #[error("no filter can be made: {0}")]
    Unbuilt(#[from] BackendError),
    #[error("the kernel takes no filter: {0}")]
    Refused(#[from] seccompiler::Error),
}

/// For this thread and all that it starts. `server` is the process that nothing here may act on, and
/// `group` its group.
pub(super) fn forbid(server: i32, group: Option<i32>) -> Result<(), NotForbidden> {
    for program in programs(server, group)? {
        apply_filter(&program)?;
    }
    Ok(())
}

/// The filters: of those that forbid a call the kernel takes the strictest.
fn programs(server: i32, group: Option<i32>) -> Result<[BpfProgram; 3], BackendError> {
    let mut forbidden: BTreeMap<i64, Vec<SeccompRule>> =
        FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    let mut forbid_if = |call: i64, argument, operator, value| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
        let rules = forbidden.entry(call).or_default();
        rules.push(SeccompRule::new(vec![condition])?);
        Ok::<_, BackendError>(())
    };
    // The kernel takes the lower half of the register for the process.
    let is = |process: i32| u64::from(process.cast_unsigned());
    for call in ON_A_PROCESS {
        forbid_if(*call, 0, SeccompCmpOp::Eq, is(server))?;
    }
    // The server's group, and all processes.
    let group = group.map(|group| -group);
    for all in [-server, -1].into_iter().chain(group) {
        forbid_if(libc::SYS_kill, 0, SeccompCmpOp::Eq, is(all))?;
    }
    for call in ON_ANYBODY {
        forbid_if(*call, 0, SeccompCmpOp::Ne, 0)?;
    }
    for (call, process) in ON_A_KIND {
        forbid_if(*call, 0, SeccompCmpOp::Ne, is(*process))?;
        forbid_if(*call, 1, SeccompCmpOp::Ne, 0)?;
    }
    for (call, command) in NEW_OWNER {
        forbid_if(*call, 1, SeccompCmpOp::Eq, is(*command))?;
    }
    for flag in NEW_SPACES {
        let flag = u64::from(flag.unsigned_abs());
        forbid_if(libc::SYS_clone, 0, SeccompCmpOp::MaskedEq(flag), flag)?;
    }
    let absent = ABSENT.iter().map(|call| (*call, Vec::new())).collect();
    Ok([
        program(forbidden, libc::EPERM)?,
        program(absent, libc::ENOSYS)?,
        plain_form_only(),
    ])
}

/// A comparison, which rules by number can't express.
fn plain_form_only() -> BpfProgram {
    let step = |code: u32, jf, k| sock_filter {
        // They are all below 256.
        code: u16::try_from(code).unwrap_or_default(),
        jt: 0,
        jf,
        k,
    };
    vec![
        // The number is what the data begins with.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, OTHER_FORM),
        step(
            libc::BPF_RET | libc::BPF_K,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn program(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let errno = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, errno, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: i32 = 4711;
    const GROUP: i32 = 4700;

    /// What the filters make of a call: the error, or nothing where it is let through. The kernel's
    /// machine (seccomp(2)), as far as these programs use it.
    fn verdict(call: i64, arguments: [u64; 2]) -> Option<i32> {
        let arch: u32 = match std::env::consts::ARCH {
            "x86_64" => 0xc000_003e,
            "aarch64" => 0xc000_00b7,
            other => panic!("no audit number of {other}"),
        };
        let mut data = Vec::new();
        data.extend(u32::try_from(call).unwrap().to_ne_bytes());
        data.extend(arch.to_ne_bytes());
        data.extend(0_u64.to_ne_bytes());
        data.extend(arguments.into_iter().flat_map(u64::to_ne_bytes));
        let mut found = None;
        for program in programs(SERVER, Some(GROUP)).unwrap() {
            let (mut accumulator, mut at) = (0, 0);
            let answer = loop {
                let step = &program[at];
                at += 1;
                match u32::from(step.code) {
                    // BPF_LD | BPF_W | BPF_ABS
                    0x20 => {
                        let place = usize::try_from(step.k).unwrap();
                        let word = data[place..place + 4].try_into().unwrap();
                        accumulator = u32::from_ne_bytes(word);
                    }
                    // BPF_ALU | BPF_AND
                    0x54 => accumulator &= step.k,
                    // BPF_JMP | BPF_JA
                    0x05 => at += usize::try_from(step.k).unwrap(),
                    // BPF_JMP | BPF_JEQ
                    0x15 => {
                        let jump = if accumulator == step.k {
                            step.jt
                        } else {
                            step.jf
                        };
                        at += usize::from(jump);
                    }
                    // BPF_JMP | BPF_JGE
                    0x35 => {
                        let jump = if accumulator >= step.k {
                            step.jt
                        } else {
                            step.jf
                        };
                        at += usize::from(jump);
                    }
                    // BPF_RET
                    0x06 => break step.k,
                    other => panic!("an instruction that is not known: {other:#x}"),
                }
            };
            match answer & libc::SECCOMP_RET_ACTION_FULL {
                libc::SECCOMP_RET_ALLOW => {}
                libc::SECCOMP_RET_ERRNO => {
                    found = i32::try_from(answer & libc::SECCOMP_RET_DATA).ok();
                }
                other => panic!("neither allowed nor an error: {other:#x}"),
            }
        }
        found
    }

    #[test]
    fn what_no_connector_needs_is_forbidden() {
        let to = |process: i32| u64::from(process.cast_unsigned());
        let flag = |flag: i32| u64::from(flag.cast_unsigned());
        let (refused, absent) = (Some(libc::EPERM), Some(libc::ENOSYS));
        let threads = flag(libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND);
        let cases = [
            (libc::SYS_ptrace, [0, 1], refused),
            (libc::SYS_process_vm_readv, [1, 0], refused),
            (libc::SYS_process_vm_writev, [1, 0], refused),
            (libc::SYS_pidfd_getfd, [3, 0], refused),
            (libc::SYS_kcmp, [1, 1], refused),
            (libc::SYS_mount, [0, 0], refused),
            (libc::SYS_fsopen, [0, 0], refused),
            (libc::SYS_move_mount, [0, 0], refused),
            (libc::SYS_umount2, [0, 0], refused),
            (libc::SYS_pivot_root, [0, 0], refused),
            (libc::SYS_chroot, [0, 0], refused),
            (libc::SYS_open_by_handle_at, [0, 0], refused),
            (libc::SYS_unshare, [0, 0], refused),
            (libc::SYS_setns, [0, 0], refused),
            (libc::SYS_bpf, [0, 0], refused),
            (libc::SYS_init_module, [0, 0], refused),
            (libc::SYS_finit_module, [0, 0], refused),
            (libc::SYS_kexec_load, [0, 0], refused),
            (libc::SYS_perf_event_open, [0, 0], refused),
            (libc::SYS_userfaultfd, [0, 0], refused),
            (libc::SYS_reboot, [0, 0], refused),
            (libc::SYS_add_key, [0, 0], refused),
            (libc::SYS_keyctl, [0, 0], refused),
            (libc::SYS_clock_settime, [0, 0], refused),
            (libc::SYS_sethostname, [0, 0], refused),
            (libc::SYS_io_uring_setup, [1, 0], absent),
            (libc::SYS_io_uring_enter, [1, 0], absent),
            // Its flags are where a filter can't see them.
            (libc::SYS_clone3, [0, 0], absent),
            (libc::SYS_clone, [flag(libc::CLONE_NEWUSER), 0], refused),
            (
                libc::SYS_clone,
                [flag(libc::CLONE_NEWNET) | threads, 0],
                refused,
            ),
            (libc::SYS_clone, [flag(libc::CLONE_NEWNS), 0], refused),
            (libc::SYS_clone, [flag(libc::CLONE_NEWPID), 0], refused),
            (libc::SYS_clone, [threads, 0], None),
            (libc::SYS_clone, [flag(libc::SIGCHLD), 0], None),
            (libc::SYS_kill, [to(SERVER), 9], refused),
            (libc::SYS_kill, [to(-SERVER), 9], refused),
            (libc::SYS_kill, [to(-GROUP), 9], refused),
            (libc::SYS_kill, [to(-1), 9], refused),
            // The kernel looks at the lower half alone.
            (libc::SYS_kill, [to(SERVER) | 1 << 32, 9], refused),
            (libc::SYS_kill, [to(SERVER + 1), 9], None),
            (libc::SYS_tgkill, [to(SERVER), to(SERVER)], refused),
            (libc::SYS_tkill, [to(SERVER), 9], refused),
            (libc::SYS_rt_sigqueueinfo, [to(SERVER), 9], refused),
            (libc::SYS_pidfd_open, [to(SERVER), 0], refused),
            (libc::SYS_pidfd_open, [to(SERVER + 1), 0], None),
            (libc::SYS_pidfd_send_signal, [3, 9], absent),
            (libc::SYS_prlimit64, [to(SERVER), 7], refused),
            // One of its threads, or somebody else.
            (libc::SYS_prlimit64, [to(SERVER + 1), 7], refused),
            (libc::SYS_prlimit64, [0, 7], None),
            (libc::SYS_sched_setaffinity, [to(SERVER + 1), 8], refused),
            (libc::SYS_sched_setaffinity, [0, 8], None),
            (libc::SYS_sched_setscheduler, [to(SERVER + 1), 0], refused),
            (libc::SYS_setpriority, [0, to(SERVER)], refused),
            // All of this user's.
            (libc::SYS_setpriority, [2, 0], refused),
            (libc::SYS_setpriority, [0, 0], None),
            (libc::SYS_ioprio_set, [3, 0], refused),
            (libc::SYS_ioprio_set, [1, to(SERVER)], refused),
            (libc::SYS_ioprio_set, [1, 0], None),
            (libc::SYS_fcntl, [3, 8], refused),
            (libc::SYS_fcntl, [3, 15], refused),
            (libc::SYS_fcntl, [3, 3], None),
            (libc::SYS_ioctl, [3, 0x8901], refused),
            (libc::SYS_ioctl, [3, 0x8902], refused),
            (libc::SYS_ioctl, [3, 0x5401], None),
            (libc::SYS_read, [to(SERVER), 0], None),
            (libc::SYS_openat, [0, 0], None),
            (libc::SYS_connect, [0, 0], None),
            (libc::SYS_execve, [0, 0], None),
            (libc::SYS_futex, [0, 0], None),
            // x32 has its own numbers for some: this is its execve, its ptrace, and a plain read.
            (0x4000_0000 | 520, [0, 0], absent),
            (0x4000_0000 | 521, [0, 0], absent),
            (0x4000_0000, [0, 0], absent),
        ];
        for (call, arguments, expected) in cases {
            let found = verdict(call, arguments);
            assert_eq!(found, expected, "call {call} with {arguments:x?}");
        }
        for call in FORBIDDEN {
            assert_eq!(verdict(*call, [0, 0]), refused, "call {call}");
        }
    }
}
