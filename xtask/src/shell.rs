//! Starting other programs: what is run is shown, and what it says is never hidden.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The workspace root.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The shared build folder, found from where this very program was built.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding the running xtask")?;
    // target/debug/xtask
    let target = own.parent().and_then(Path::parent);
    target
        .map(Path::to_owned)
        .context("xtask does not run from a build folder")
}

/// `cargo`, the one that started us, in the workspace root.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command(program, args);
    command.current_dir(root());
    // Left in place, these would describe xtask's package to build scripts of the others.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

pub(crate) fn command<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Runs with inherited output; whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    show(command);
    let status = command
        .status()
        .with_context(|| format!("starting {}", name(command)))?;
    Ok(status.success())
}

/// Runs with inherited output; a failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    if !succeeds(command)? {
        bail!("{} failed", name(command));
    }
    Ok(())
}

/// Whether a quick question to another program is answered with yes.
pub(crate) fn answers(program: &str, args: &[&str]) -> bool {
    let quiet = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// Whether a program can be found in the search path.
pub(crate) fn installed(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

pub(crate) fn show(command: &Command) {
    println!("\n$ {}", line(command));
}

/// A command as it would be typed, without the folder of its program.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy();
    let args: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    format!("{program} {}", args.join(" "))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
