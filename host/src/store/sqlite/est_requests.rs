//! Requests of EST clients that wait for their answer.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::enrollments;
use super::fault::Fault;
use super::rows::Columns;
use super::sql::statements;
use crate::ids::EnrollmentId;
use crate::store::{Enrollment, EstRequest, EstRequests, RequestKey, Result};

statements! {
    INSERT = "INSERT OR REPLACE INTO est_requests (key, enrollment) VALUES (?1, ?2)";
    BY_KEY = "SELECT enrollment FROM est_requests WHERE key = ?1";
    DELETE = "DELETE FROM est_requests WHERE key = ?1";
    FORGET = "DELETE FROM est_requests WHERE key = ?1 AND enrollment = ?2";
}

#[async_trait]
impl EstRequests for SqliteStore {
    async fn begin_est_enrollment(
        &self,
        enrollment: Enrollment,
        request: EstRequest,
    ) -> Result<bool> {
        self.writer
            .write(move |on| begin(on, &enrollment, &request))
            .await
    }

    async fn est_request(&self, key: RequestKey) -> Result<Option<EnrollmentId>> {
        self.readers.read(|on| BY_KEY.first(on, [key.0], decode))
    }

    async fn forget_est_request(&self, key: RequestKey, enrollment: EnrollmentId) -> Result<()> {
        self.writer
            .write(move |on| {
                FORGET.run(on, params![key.0, enrollment.as_bytes()])?;
                Ok(())
            })
            .await
    }
}

/// Whether the request is a new one and the enrollment has begun.
pub(super) fn begin(
    on: &Connection,
    enrollment: &Enrollment,
    request: &EstRequest,
) -> std::result::Result<bool, Fault> {
    for key in &request.answered {
        DELETE.run(on, [key.0])?;
    }
    if BY_KEY.first(on, [request.key.0], decode)? != request.replaces {
        return Ok(false);
    }
    if !enrollments::begin(on, enrollment, request.replaces)? {
        return Ok(false);
    }
    INSERT.run(on, params![request.key.0, enrollment.id.as_bytes()])?;
    Ok(true)
}

fn decode(row: &Row<'_>) -> Result<EnrollmentId, Fault> {
    Columns::of(row).id(EnrollmentId::from_bytes)
}
