//! [`Fault`]: what went wrong below, before it is known whether it happened to a read or to a write.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::store::Error;

#[derive(Debug)]
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    /// A value in a row that this program can't have written.
    Corrupt(String),
}

impl Fault {
    pub(super) fn corrupt(what: &str) -> Self {
        Self::Corrupt(what.to_owned())
    }

    pub(super) fn reading(self) -> Error {
        self.into_error(Error::Read)
    }

    pub(super) fn writing(self) -> Error {
        self.into_error(Error::Write)
    }

    pub(super) fn opening(self, path: &Path) -> Error {
        match self {
            Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
                Error::Open(format!(
                    "{} is not a database; name a new file in [store] url",
                    path.display()
                ))
            }
            fault => fault.into_error(|text| Error::Open(format!("{}: {text}", path.display()))),
        }
    }

    fn into_error(self, otherwise: impl FnOnce(String) -> Error) -> Error {
        match self {
            Self::Corrupt(what) => Error::Corrupt(what),
            Self::Sqlite(error) if is_corruption(&error) => Error::Corrupt(error.to_string()),
            Self::Sqlite(error) => otherwise(error.to_string()),
        }
    }
}

fn is_corruption(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..)
    ) || matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}
