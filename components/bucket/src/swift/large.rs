//! Large objects: parts in a container of their own, and a list of them under the object's name.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header::ACCEPT;
use http::{HeaderMap, Method};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Error, MultipartId, PutPayload, PutResult, Result};
use serde::{Deserialize, Serialize};

use super::{Swift, answer_in, encoded, failed, no_container, put_result};
use crate::watch::Answer;

/// The part's place in the list, as the server wants it.
#[derive(Debug, Serialize, Deserialize)]
struct Segment {
    path: String,
    etag: String,
    size_bytes: usize,
}

/// What the server did with a list of requests in one.
#[derive(Debug, Deserialize)]
struct Outcome {
    #[serde(rename = "Response Status")]
    status: String,
    #[serde(rename = "Response Body", default)]
    body: String,
    #[serde(rename = "Errors", default)]
    errors: Vec<Vec<String>>,
}

impl Swift {
    /// Where parts of large objects are.
    fn segments(&self) -> Self {
        Self {
            container: format!("{}_segments", self.container),
            ..self.clone()
        }
    }

    /// Names of the parts of an object, `/container/name`; none of one that is not there, or not large.
    async fn parts_of(&self, url: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Listed {
            name: String,
        }
        let head = self
            .send(self.request(Method::HEAD, url), Bytes::new())
            .await;
        let head = match head {
            Err(error) if answer_in(&error).is_some_and(|answer| answer.status == 404) => {
                return Ok(Vec::new());
            }
            other => other?,
        };
        if !is_large(head.headers()) {
            return Ok(Vec::new());
        }
        let url = format!("{url}?multipart-manifest=get");
        let response = self
            .send(self.request(Method::GET, &url), Bytes::new())
            .await?;
        let body = response.into_body().bytes().await.map_err(failed)?;
        let parts: Vec<Listed> = serde_json::from_slice(&body).map_err(failed)?;
        Ok(parts.into_iter().map(|part| part.name).collect())
    }

    /// Deletes an object and its parts.
    pub(super) async fn delete_large(&self, url: &str) -> Result<()> {
        let url = format!("{url}?multipart-manifest=delete");
        let request = self
            .request(Method::DELETE, &url)
            .header(ACCEPT, "application/json");
        let response = self.send(request, Bytes::new()).await?;
        let body = response.into_body().bytes().await.map_err(failed)?;
        let outcome: Outcome = serde_json::from_slice(&body).map_err(failed)?;
        let status = |text: &str| text.split(' ').next().and_then(|code| code.parse().ok());
        let whole = status(&outcome.status).unwrap_or(500);
        if (200..300).contains(&whole) {
            return Ok(());
        }
        // The status of the first part that stayed says more than that of the whole.
        let part = outcome.errors.first().and_then(|error| error.get(1));
        Err(refused(
            part.and_then(|text| status(text)).unwrap_or(whole),
            &outcome.body,
        ))
    }
}

fn refused(status: u16, message: &str) -> Error {
    let answer = Answer {
        host: String::new(),
        status,
        code: None,
        message: Some(message.to_owned()).filter(|message| !message.is_empty()),
        region: None,
    };
    failed(object_store::client::HttpError::new(
        object_store::client::HttpErrorKind::Unknown,
        answer,
    ))
}

/// Parts of one upload; two uploads of one object have different ones.
fn part(path: &Path, id: &MultipartId, number: usize) -> Result<Path> {
    Ok(Path::parse(format!("{path}/{id}/{number:08}"))?)
}

#[async_trait]
impl MultipartStore for Swift {
    async fn create_multipart(&self, _: &Path) -> Result<MultipartId> {
        let segments = self.segments();
        let request = segments.request(Method::PUT, &segments.container_url());
        segments.send(request, Bytes::new()).await?;
        Ok(format!("{:016x}{:016x}", random(), random()))
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        number: usize,
        payload: PutPayload,
    ) -> Result<PartId> {
        let segments = self.segments();
        let path = part(path, id, number)?;
        let size_bytes = payload.content_length();
        let request = segments.request(Method::PUT, &segments.url(&path));
        let response = segments
            .send(request, payload)
            .await
            .map_err(no_container)?;
        let segment = Segment {
            path: format!("/{}/{path}", segments.container),
            etag: etag(response.headers()),
            size_bytes,
        };
        let content_id = serde_json::to_string(&segment).map_err(failed)?;
        Ok(PartId { content_id })
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        _: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let segment = |part: &PartId| serde_json::from_str(&part.content_id).map_err(failed);
        let segments: Vec<Segment> = parts.iter().map(segment).collect::<Result<_>>()?;
        let list = serde_json::to_vec(&segments).map_err(failed)?;
        let url = self.url(path);
        // Of an object that this one replaces; no one else would delete them.
        let mut old = self.parts_of(&url).await?;
        old.retain(|name| segments.iter().all(|segment| segment.path != *name));
        let put = self.request(Method::PUT, &format!("{url}?multipart-manifest=put"));
        let response = self.send(put, list).await.map_err(no_container)?;
        for name in old {
            let url = format!("{}{}", self.storage, encoded(&name));
            let deleted = self
                .send(self.request(Method::DELETE, &url), Bytes::new())
                .await;
            if let Err(error) = deleted {
                tracing::debug!(part = name, %error, "a part that nothing needs any more stays");
            }
        }
        Ok(put_result(response.headers()))
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let segments = self.segments();
        let prefix = Path::parse(format!("{path}/{id}"))?;
        let mut pages = segments.pages(Some(&prefix), false);
        while let Some(page) = pages.try_next().await? {
            for entry in page {
                let url = format!("{}/{}", segments.container_url(), encoded(entry.name()));
                segments
                    .send(segments.request(Method::DELETE, &url), Bytes::new())
                    .await?;
            }
        }
        Ok(())
    }
}

pub(super) fn is_large(headers: &HeaderMap) -> bool {
    let large = headers.get("x-static-large-object");
    large.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Without quotes.
fn etag(headers: &HeaderMap) -> String {
    let tag = headers
        .get(http::header::ETAG)
        .and_then(|tag| tag.to_str().ok());
    tag.unwrap_or_default().trim_matches('"').to_owned()
}

/// Not secret, only never the same twice: the standard library seeds its hashers so.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
