//! [`Check`]: one thing that a plugin must do, and the table of all of them.

use super::bench::Bench;
use super::checks;
use super::verdict::Verdict;

/// One thing that a plugin must do.
#[derive(Clone, Copy)]
pub struct Check {
    /// `GROUP.NAME`
    pub name: &'static str,
    /// What is known once it has passed.
    pub proves: &'static str,
    /// The check without which this one says nothing.
    pub(super) needs: Option<&'static str>,
    /// Checks of the calls that this one makes by the way: what has failed there would fail here again,
    /// and hide which of them is about it.
    pub(super) after: &'static [&'static str],
    /// Whether it asks the CA for certificates.
    pub(super) issues: bool,
    pub(super) run: fn(&Bench) -> Verdict,
}

impl Check {
    pub(super) const fn new(
        name: &'static str,
        proves: &'static str,
        run: fn(&Bench) -> Verdict,
    ) -> Self {
        Self {
            name,
            proves,
            needs: None,
            after: &[],
            issues: false,
            run,
        }
    }

    pub(super) const fn needs(mut self, name: &'static str) -> Self {
        self.needs = Some(name);
        self
    }

    pub(super) const fn after(mut self, names: &'static [&'static str]) -> Self {
        self.after = names;
        self
    }

    pub(super) const fn issues(mut self) -> Self {
        self.issues = true;
        self
    }

    /// All checks, each after the one that it needs.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        checks::GROUPS.iter().copied().flatten()
    }

    pub(super) fn find(name: &str) -> Option<&'static Self> {
        Self::all().find(|check| check.name == name)
    }
}

/// Which checks are run: beginnings of names, such as `enroll` or `enroll.garbage`.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those alone, with what they need; empty means all.
    pub only: Vec<String>,
    pub skip: Vec<String>,
}

impl Selection {
    /// The checks in their order.
    ///
    /// # Errors
    /// A beginning that no check has.
    pub fn checks(&self) -> Result<Vec<&'static Check>, String> {
        let given = || self.only.iter().chain(&self.skip);
        if let Some(unknown) = given().find(|start| !Check::all().any(|c| c.is_in(start))) {
            return Err(unknown.clone());
        }
        let asked = |check: &Check| {
            let only = self.only.is_empty() || self.only.iter().any(|start| check.is_in(start));
            only && !self.skip.iter().any(|start| check.is_in(start))
        };
        let mut wanted: Vec<&str> = Check::all().filter(|c| asked(c)).map(|c| c.name).collect();
        let mut at = 0;
        while let Some(name) = wanted.get(at).copied() {
            at += 1;
            if let Some(needed) = Check::find(name).and_then(|check| check.needs)
                && !wanted.contains(&needed)
            {
                wanted.push(needed);
            }
        }
        Ok(Check::all().filter(|c| wanted.contains(&c.name)).collect())
    }
}

impl Check {
    /// Whether the name begins with this, ending where a part ends.
    fn is_in(&self, start: &str) -> bool {
        let rest = self.name.strip_prefix(start.trim_end_matches('.'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_is_in_order() {
        let mut seen = HashSet::new();
        for check in Check::all() {
            let name = check.name;
            let (group, rest) = name.split_once('.').unwrap();
            assert!(!group.is_empty() && !rest.is_empty(), "{name}");
            assert!(
                !check.proves.is_empty() && !check.proves.ends_with('.'),
                "{name}"
            );
            let before = check.needs.iter().chain(check.after);
            for other in before {
                assert!(seen.contains(other), "{name} stands before {other}");
            }
            assert!(seen.insert(name), "{name} stands there twice");
        }
        assert!(seen.len() >= 40, "{}", seen.len());
    }

    #[test]
    fn a_selection_brings_along_what_it_needs() {
        let names = |only: &[&str], skip: &[&str]| -> Vec<_> {
            let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
            let (only, skip) = (owned(only), owned(skip));
            let checks = Selection { only, skip }.checks().unwrap();
            checks.into_iter().map(|check| check.name).collect()
        };
        assert_eq!(names(&[], &[]).len(), Check::all().count());
        assert_eq!(
            names(&["life.opens"], &[]),
            [
                "file.library",
                "file.note",
                "file.api",
                "file.unwinds",
                "load.links",
                "life.opens"
            ]
        );
        assert!(names(&["fuzz"], &["fuzz.config"]).contains(&"fuzz.enroll"));
        assert!(!names(&[], &["fuzz"]).contains(&"fuzz.enroll"));
        let wrong = Selection {
            only: vec!["enrol".to_owned()],
            ..Selection::default()
        };
        assert_eq!(wrong.checks().err().unwrap(), "enrol");
    }
}
