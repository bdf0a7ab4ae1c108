//! [`alone`]: one handler from a file, without a server around it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mistake::{Mistake, Mistakes};
use super::section::Section;
use super::tree::{Tree, Value};
use super::value::to_json;
use super::{load, read};
use crate::ids::PluginId;
use crate::worker::Limits;

/// What a plugin needs to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alone {
    /// The plugin's own table, as JSON text.
    pub config: String,
    /// What relative paths in it are relative to.
    pub base_dir: PathBuf,
    /// How long a call may take, where the file says so.
    pub deadline: Option<Duration>,
    /// What a worker process of it may use.
    pub limits: Limits,
}

/// The handler of this plugin, of this name if there are several. The file may be a whole
/// configuration, a part of one as in `conf.d`, or hold the plugin's own table and nothing else.
///
/// # Errors
/// Everything that is wrong with its handlers, or that there is none of this plugin.
pub fn alone(file: &Path, plugin: &PluginId, name: Option<&str>) -> Result<Alone, Mistakes> {
    let tree = load::tree(file)?;
    if !tree.0.contains_key("handlers") && name.is_none() {
        return Ok(Alone {
            config: to_json(&Value::Table(tree)).to_string(),
            base_dir: file.parent().map(PathBuf::from).unwrap_or_default(),
            deadline: None,
            limits: Limits::default(),
        });
    }
    named(&tree, file, plugin, name)
}

fn named(
    tree: &Tree,
    file: &Path,
    plugin: &PluginId,
    name: Option<&str>,
) -> Result<Alone, Mistakes> {
    let found = RefCell::new(Vec::new());
    let handlers = read::handlers(&mut Section::root(tree, &found));
    Mistakes::check(found.into_inner())?;
    let fits = |handler: &str, of: &PluginId| of == plugin && name.is_none_or(|n| n == handler);
    let mut fitting = handlers
        .into_iter()
        .filter_map(|(name, handler)| Some((name, handler?)))
        .filter(|(name, handler)| fits(name.as_str(), &handler.plugin));
    let file = file.display();
    let mistake = |text: String| Mistakes::from(Mistake::new(None, "", text));
    let (first, handler) = fitting.next().ok_or_else(|| {
        mistake(match name {
            Some(name) => format!("{file} has no handler {name} with plugin = \"{plugin}\""),
            None => format!("{file} has no handler with plugin = \"{plugin}\"; add one"),
        })
    })?;
    if let Some((second, _)) = fitting.next() {
        return Err(mistake(format!(
            "{file} has several handlers with plugin = \"{plugin}\"; choose one: --handler {first} or \
             --handler {second}"
        )));
    }
    Ok(Alone {
        deadline: Some(handler.deadline),
        limits: handler.setup(&first).limits,
        config: handler.config,
        base_dir: handler.base_dir,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, name: Option<&str>) -> Result<Alone, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        std::fs::write(&file, text).unwrap();
        let mut alone = alone(&file, &"my-ca".parse().unwrap(), name)
            .map_err(|mistakes| mistakes.to_string())?;
        assert_eq!(alone.base_dir, folder.path());
        alone.base_dir = PathBuf::new();
        Ok(alone)
    }

    #[test]
    fn a_handler_is_found_wherever_it_stands() {
        let own = read("url = 'x'\n[profiles.a]\n", None).unwrap();
        assert_eq!(own.config, r#"{"profiles":{"a":{}},"url":"x"}"#);
        assert_eq!(own.deadline, None);
        let part = "[handlers.a]\nplugin = 'my-ca'\ndeadline = '7s'\n[handlers.a.config]\nurl = 'x'\n\
                    [handlers.b]\nplugin = 'other'\n[acme.a]\nhandler = 'a'\n";
        let part = read(part, None).unwrap();
        assert_eq!(part.config, r#"{"url":"x"}"#);
        assert_eq!(part.deadline, Some(Duration::from_secs(7)));
    }

    #[test]
    fn one_of_several_has_to_be_named() {
        let two = "[handlers.a]\nplugin = 'my-ca'\n[handlers.b]\nplugin = 'my-ca'\nconfig.k = 1\n";
        assert!(
            read(two, None)
                .unwrap_err()
                .contains("--handler a or --handler b")
        );
        assert_eq!(read(two, Some("b")).unwrap().config, r#"{"k":1}"#);
        assert!(read(two, Some("c")).unwrap_err().contains("no handler c"));
        assert!(
            read("[handlers.a]\nplugin = 'other'", None)
                .unwrap_err()
                .contains("add one")
        );
        assert!(
            read("[handlers.a]\nplugin = 7", None)
                .unwrap_err()
                .contains("plugin")
        );
    }
}
