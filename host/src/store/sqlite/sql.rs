//! [`Sql`]: the statements, each a constant, so that a test can look at the plans of all of them.

use rusqlite::{CachedStatement, Connection, Params, Row};

use super::fault::Fault;

/// More than there are statements: none is ever compiled twice on a connection.
pub(super) const STATEMENT_CACHE: usize = 96;

/// A statement that the store runs. Only [`statements!`] makes one.
#[derive(Clone, Copy)]
pub(super) struct Sql(&'static str);

impl Sql {
    pub(super) const fn new(text: &'static str) -> Self {
        Self(text)
    }

    #[cfg(test)]
    pub(super) fn text(self) -> &'static str {
        self.0
    }

    /// Runs it; says how many rows it changed.
    pub(super) fn run(self, on: &Connection, params: impl Params) -> Result<usize, Fault> {
        Ok(self.prepare(on)?.execute(params)?)
    }

    /// Its first row, if it has one.
    pub(super) fn first<T>(
        self,
        on: &Connection,
        params: impl Params,
        decode: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let mut statement = self.prepare(on)?;
        let mut rows = statement.query(params)?;
        let found = rows.next()?.map(decode).transpose()?;
        // Run to its end: a statement with RETURNING has not changed anything for sure before.
        while rows.next()?.is_some() {}
        Ok(found)
    }

    /// All its rows. Statements without a bound of their own have a LIMIT.
    pub(super) fn all<T>(
        self,
        on: &Connection,
        params: impl Params,
        mut decode: impl FnMut(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut statement = self.prepare(on)?;
        let mut rows = statement.query(params)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(decode(row)?);
        }
        Ok(all)
    }

    /// Its rows up to the first of which `decode` makes nothing.
    pub(super) fn some<T>(
        self,
        on: &Connection,
        params: impl Params,
        mut decode: impl FnMut(&Row<'_>) -> Result<Option<T>, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut statement = self.prepare(on)?;
        let mut rows = statement.query(params)?;
        let mut some = Vec::new();
        while let Some(row) = rows.next()? {
            match decode(row)? {
                Some(decoded) => some.push(decoded),
                None => break,
            }
        }
        Ok(some)
    }

    fn prepare<'c>(self, on: &'c Connection) -> Result<CachedStatement<'c>, Fault> {
        Ok(on.prepare_cached(self.0)?)
    }
}

/// Declares constants of type [`Sql`] and the list of them all, `STATEMENTS`.
macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        $(const $name: $crate::store::sqlite::sql::Sql =
            $crate::store::sqlite::sql::Sql::new($text);)*

        #[cfg(test)]
        pub(super) const STATEMENTS: &[(&str, $crate::store::sqlite::sql::Sql)] =
            &[$((stringify!($name), $name)),*];
    };
}

pub(super) use statements;
