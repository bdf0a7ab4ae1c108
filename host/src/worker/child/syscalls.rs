//! [`forbid`]: system calls that no connector needs fail, as if the user had no right to them.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
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
];

/// Calls that act on the process that their first argument names.
const ON_A_PROCESS: &[i64] = &[
    libc::SYS_kill,
    libc::SYS_pidfd_open,
    libc::SYS_prlimit64,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tgkill,
];

/// Flags of `clone`.
const NEW_SPACES: [i32; 4] = [
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
];

#[derive(Debug, thiserror::Error)]
pub(super) enum NotForbidden {
    #[error("no filter can be made: {0}")]
    Unbuilt(#[from] BackendError),
    #[error("the kernel takes no filter: {0}")]
    Refused(#[from] seccompiler::Error),
}

/// For this thread and all that it starts. `server` is the process that nothing here may act on.
pub(super) fn forbid(server: i32) -> Result<(), NotForbidden> {
    let mut forbidden: BTreeMap<i64, Vec<SeccompRule>> =
        FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    for call in ON_A_PROCESS {
        let mut rules = vec![first_is(server)?];
        if *call == libc::SYS_kill {
            // The server's group, and all processes.
            rules.push(first_is(-server)?);
            rules.push(first_is(-1)?);
        }
        forbidden.insert(*call, rules);
    }
    let rules = NEW_SPACES.map(|flag| {
        let flag = u64::from(flag.unsigned_abs());
        condition(SeccompCmpOp::MaskedEq(flag), flag)
    });
    forbidden.insert(
        libc::SYS_clone,
        rules.into_iter().collect::<Result<_, _>>()?,
    );
    apply(forbidden, libc::EPERM)?;
    apply(
        ABSENT.iter().map(|call| (*call, Vec::new())).collect(),
        libc::ENOSYS,
    )
}

fn apply(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<(), NotForbidden> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let errno = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, arch)?;
    let program = BpfProgram::try_from(filter)?;
    Ok(apply_filter(&program)?)
}

fn first_is(process: i32) -> Result<SeccompRule, BackendError> {
    // The kernel takes the lower half of the register for the process.
    let value = u64::from(process.cast_unsigned());
    condition(SeccompCmpOp::Eq, value)
}

fn condition(operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let length = SeccompCmpArgLen::Dword;
    SeccompRule::new(vec![SeccompCondition::new(0, length, operator, value)?])
}
