//! [`load`]: finding the configuration's files, reading and merging them.

use std::io;
use std::path::{Path, PathBuf};

use super::mistake::{Mistake, Mistakes};
use super::tree::Tree;
use super::{Config, read};

/// What `serve` starts with where no file is found: one local CA behind one ACME directory. Its paths
/// are relative to the current directory.
pub const DEFAULT: &str = include_str!("../../../config/certdock.toml");

/// Where files are looked for when none is named, in this order.
const PLACES: [&str; 2] = ["certdock.toml", "/etc/certdock/certdock.toml"];

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A main file, and `conf.d/*.toml` beside it.
    File(PathBuf),
    /// [`DEFAULT`]
    Embedded,
}

impl Source {
    /// The file that was named (`--config`), else that of `$CERTDOCK_CONFIG` (`variable`), else
    /// the first that exists of `./certdock.toml` and `/etc/certdock/certdock.toml`.
    #[must_use]
    pub fn find(named: Option<PathBuf>, variable: Option<PathBuf>) -> Self {
        let variable = variable.filter(|path| !path.as_os_str().is_empty());
        named
            .or(variable)
            .or_else(|| PLACES.iter().map(PathBuf::from).find(|path| path.exists()))
            .map_or(Self::Embedded, Self::File)
    }
}

/// Reads, merges and checks.
///
/// # Errors
/// Everything that is wrong, each with file, line, key and remedy.
pub fn load(source: &Source) -> Result<Config, Mistakes> {
    match source {
        Source::Embedded => parse(Path::new("certdock.toml"), DEFAULT),
        Source::File(main) => {
            let mut tree = tree(main)?;
            let mut found = Vec::new();
            for file in fragments(main)? {
                tree.merge(self::tree(&file)?, &mut found);
            }
            Mistakes::check(found)?;
            read::config(&tree, main.parent().unwrap_or(Path::new("")))
        }
    }
}

/// Reads one text as if it stood in `file`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(file: &Path, text: &str) -> Result<Config, Mistakes> {
    let tree = Tree::parse(file, text)?;
    read::config(&tree, file.parent().unwrap_or(Path::new("")))
}

pub(super) fn tree(file: &Path) -> Result<Tree, Mistake> {
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    Tree::parse(file, &text)
}

fn unreadable(file: &Path, error: &io::Error) -> Mistake {
    let file = file.display();
    let text = match error.kind() {
        io::ErrorKind::NotFound => {
            format!("there is no file {file}; make it, or name another with --config")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{file} may not be read; let this user read it")
        }
        io::ErrorKind::InvalidData => format!("{file} is not UTF-8 text; save it as UTF-8"),
        _ => format!("{file} can't be read: {error}"),
    };
    Mistake::new(None, "", text)
}

/// `conf.d/*.toml` beside the main file, in name order.
fn fragments(main: &Path) -> Result<Vec<PathBuf>, Mistake> {
    let folder = main.parent().unwrap_or(Path::new("")).join("conf.d");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&folder, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| unreadable(&folder, &error))?.path();
        let hidden = file
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && file.extension().is_some_and(|ending| ending == "toml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
