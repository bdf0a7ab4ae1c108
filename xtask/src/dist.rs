//! `cargo xtask dist`: what is shipped, in `target/dist`.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{run, shell};

pub(crate) fn dist() -> Result<ExitCode> {
    let built = run::build()?;
    let folder = shell::target_dir()?.join("dist");
    let plugins = folder.join("plugins");
    fs::create_dir_all(&plugins).with_context(|| format!("making {}", plugins.display()))?;
    run::copy(&built.program, &folder.join("certdock"))?;
    run::copy_plugins(&built, &plugins)?;
    let config = shell::root().join("config");
    if config.is_dir() {
        let target = folder.join("config");
        fs::create_dir_all(&target).with_context(|| format!("making {}", target.display()))?;
        for entry in fs::read_dir(&config).context("reading config")? {
            let entry = entry.context("reading config")?;
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                run::copy(&entry.path(), &target.join(entry.file_name()))?;
            }
        }
    }
    println!(
        "\n{} holds the program, its plugins and its configuration",
        folder.display()
    );
    Ok(ExitCode::SUCCESS)
}
