//! Reading request bodies: bounded in bytes, in time, and all together.

mod gunzip;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::BodyExt;
use phlare_model::ErrorKind;

use crate::budget::{Budget, Reservation};
use crate::config::{Config, unless_zero};
use crate::metrics::Metrics;
use crate::offload::Offload;
use crate::status::Status;

/// How much is allocated on the word of a `Content-Length` alone.
const TRUSTED_LENGTH: usize = 1 << 20;

/// How many bytes a body may have, and the setting that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit {
    /// After decompression.
    pub bytes: usize,
    /// The name of the setting, for the error.
    pub name: &'static str,
}

impl BodyLimit {
    fn exceeded(self) -> Status {
        let Self { bytes, name } = self;
        let message = format!("the body is larger than {bytes} bytes, the limit of `{name}`");
        Status::new(ErrorKind::PayloadTooLarge, message)
    }
}

/// A body, and its share of what all bodies may take. Keep it until the bytes are no longer needed.
#[derive(Debug)]
pub struct Received {
    /// The body, decompressed.
    pub bytes: Bytes,
    reservation: Reservation,
}

impl Received {
    pub(crate) fn new(bytes: Bytes, reservation: Reservation) -> Self {
        Self { bytes, reservation }
    }

    /// Separates the bytes from their reservation, which has to live as long.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, Reservation) {
        (self.bytes, self.reservation)
    }
}

/// Reads bodies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbound {
    budget: Arc<Budget>,
    offload: Offload,
    read_timeout: Option<Duration>,
}

impl Inbound {
    /// Reads within the limits of `config`; decompresses on `offload`.
    #[must_use]
    pub fn new(config: &Config, offload: Offload, metrics: &Metrics) -> Self {
        let (gauge, refused) = (
            metrics.inflight_bytes.clone(),
            metrics.inflight_bytes_refused.clone(),
        );
        Self {
            budget: Budget::new(config.max_inflight_bytes, gauge, refused),
            offload,
            read_timeout: unless_zero(config.http_server_read_timeout),
        }
    }

    /// Reads a whole body and undoes its `Content-Encoding` (`gzip`, or none).
    ///
    /// # Errors
    /// `PayloadTooLarge` beyond `limit`, `Unavailable` if all bodies together take too much,
    /// `DeadlineExceeded` if it arrives too slowly, `InvalidArgument` if it is damaged,
    /// `Unimplemented` for another encoding.
    pub async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: BodyLimit,
    ) -> Result<Received, Status> {
        let encoding = headers
            .get(CONTENT_ENCODING)
            .map(|value| value.to_str().unwrap_or("?").trim());
        let gzip = match encoding {
            None | Some("" | "identity") => false,
            Some(encoding) if encoding.eq_ignore_ascii_case("gzip") => true,
            Some(encoding) => {
                let message =
                    format!("unknown content encoding {encoding:?}: this server reads gzip");
                return Err(Status::unimplemented(message));
            }
        };
        let received = self.read_raw(headers, body, limit).await?;
        // An empty body is one that was not worth compressing.
        if gzip && !received.bytes.is_empty() {
            self.inflate(received, 0, limit, Vec::new()).await
        } else {
            Ok(received)
        }
    }

    /// Reads a whole body as it was sent.
    pub(crate) async fn read_raw(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: BodyLimit,
    ) -> Result<Received, Status> {
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > limit.bytes) {
            return Err(limit.exceeded());
        }
        let collected = collect(
            body,
            length.unwrap_or_default(),
            limit,
            self.budget.reserve(),
        );
        let Some(timeout) = self.read_timeout else {
            return collected.await;
        };
        tokio::time::timeout(timeout, collected)
            .await
            .unwrap_or_else(|_| {
                let message = format!(
                    "the body did not arrive within {timeout:?} (`-server.http-read-timeout`)"
                );
                Err(Status::new(ErrorKind::DeadlineExceeded, message))
            })
    }

    /// Decompresses what follows the first `skip` bytes; the result begins with `prefix`.
    pub(crate) async fn inflate(
        &self,
        received: Received,
        skip: usize,
        limit: BodyLimit,
        prefix: Vec<u8>,
    ) -> Result<Received, Status> {
        let Received {
            bytes,
            mut reservation,
        } = received;
        let work = move || {
            let compressed = bytes.get(skip..).unwrap_or_default();
            let inflated = gunzip::gunzip(compressed, limit, prefix, &mut reservation)?;
            reservation.shrink(bytes.len());
            Ok(Received {
                bytes: inflated.into(),
                reservation,
            })
        };
        self.offload.run(work).await?
    }
}

async fn collect(
    mut body: Body,
    length: usize,
    limit: BodyLimit,
    mut reservation: Reservation,
) -> Result<Received, Status> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut total = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total = total.saturating_add(data.len());
        if total > limit.bytes {
            return Err(limit.exceeded());
        }
        reservation.grow(data.len())?;
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if !first.is_empty() {
            rest.reserve(
                length
                    .min(TRUSTED_LENGTH)
                    .max(first.len().saturating_add(data.len())),
            );
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    // One frame is used as it is.
    let bytes = if rest.is_empty() {
        first
    } else {
        rest.freeze()
    };
    Ok(Received { bytes, reservation })
}

fn broken(error: &axum::Error) -> Status {
    Status::new(ErrorKind::Canceled, format!("the body broke off: {error}"))
}

#[cfg(test)]
mod tests;
