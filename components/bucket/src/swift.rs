//! OpenStack Swift: its objects, as `object_store` wants a store to be.
//!
//! The library has none for Swift, and the one of `opendal` leaves the parts of a large object behind when the object
//! is deleted. Here, parts go into the container `<container>_segments`, as with OpenStack's own client, and go with
//! their object.

mod large;
mod login;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, LAST_MODIFIED, RANGE};
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use object_store::client::{HttpClient, HttpError, HttpErrorKind, HttpRequestBody, HttpResponse};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use serde::Deserialize;

pub(crate) use self::login::{Identity, Login, Session};
use crate::watch::Answer;

/// The most names that are asked for at a time; the usual limit of servers.
const PAGE: usize = 10_000;
/// What the answer to a request for a container that is not there is called.
const NO_CONTAINER: &str = "NoSuchContainer";

/// A container, and a token that opens it.
#[derive(Clone, Debug)]
pub(crate) struct Swift {
    client: HttpClient,
    /// URL of the account.
    storage: String,
    container: String,
    token: String,
}

impl Swift {
    pub(crate) fn new(client: HttpClient, session: &Session, container: &str) -> Self {
        Self {
            client,
            storage: session.storage.clone(),
            container: container.to_owned(),
            token: session.token.clone(),
        }
    }

    fn container_url(&self) -> String {
        format!("{}/{}", self.storage, encoded(&self.container))
    }

    fn url(&self, path: &Path) -> String {
        format!("{}/{}", self.container_url(), encoded(path.as_ref()))
    }

    fn request(&self, method: Method, url: &str) -> http::request::Builder {
        http::Request::builder()
            .method(method)
            .uri(url)
            .header("X-Auth-Token", &self.token)
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<HttpRequestBody>,
    ) -> Result<HttpResponse> {
        send(&self.client, request, body).await
    }

    /// One page of names.
    async fn page(&self, prefix: &str, after: &str, delimiter: bool) -> Result<Vec<Entry>> {
        let delimiter = if delimiter { "&delimiter=/" } else { "" };
        let url = format!(
            "{}?format=json&limit={PAGE}&prefix={}&marker={}{delimiter}",
            self.container_url(),
            encoded(prefix),
            encoded(after)
        );
        let request = self
            .request(Method::GET, &url)
            .header(ACCEPT, "application/json");
        let response = self
            .send(request, Bytes::new())
            .await
            .map_err(no_container)?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Vec::new());
        }
        let body = response.into_body().bytes().await.map_err(failed)?;
        serde_json::from_slice(&body).map_err(failed)
    }

    /// All names below a directory, page by page.
    fn pages(
        &self,
        prefix: Option<&Path>,
        delimiter: bool,
    ) -> BoxStream<'static, Result<Vec<Entry>>> {
        let prefix = match prefix.map_or("", |path| path.as_ref()) {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let this = self.clone();
        stream::try_unfold(
            (this, prefix, String::new()),
            move |(this, prefix, after)| async move {
                let page = this.page(&prefix, &after, delimiter).await?;
                // Some servers give fewer names than they were asked for; only an empty page is the last.
                let last = page.last().map(|entry| entry.name().to_owned());
                Ok(last.map(|last| (page, (this, prefix, last))))
            },
        )
        .boxed()
    }

    async fn delete_one(&self, path: &Path) -> Result<()> {
        let url = self.url(path);
        let head = self
            .send(self.request(Method::HEAD, &url), Bytes::new())
            .await?;
        if large::is_large(head.headers()) {
            return self.delete_large(&url).await;
        }
        self.send(self.request(Method::DELETE, &url), Bytes::new())
            .await?;
        Ok(())
    }
}

/// A line of a listing.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Directory {
        subdir: String,
    },
    Object {
        name: String,
        bytes: u64,
        hash: Option<String>,
        last_modified: String,
    },
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Directory { subdir } => subdir,
            Self::Object { name, .. } => name,
        }
    }
}

/// An object of a listing; `None` for what only stands for a directory.
fn listed(entry: Entry) -> Result<Option<ObjectMeta>> {
    let Entry::Object {
        name,
        bytes,
        hash,
        last_modified,
    } = entry
    else {
        return Ok(None);
    };
    if name.ends_with('/') {
        return Ok(None);
    }
    // The zone is missing, and is UTC.
    let zoned = match last_modified.ends_with('Z') {
        true => last_modified,
        false => last_modified + "Z",
    };
    let modified: Timestamp = zoned.parse().map_err(failed)?;
    Ok(Some(meta(Path::parse(&name)?, bytes, modified, hash)))
}

fn meta(location: Path, size: u64, modified: Timestamp, e_tag: Option<String>) -> ObjectMeta {
    let mut meta = ObjectMeta {
        location,
        // The epoch, in the type of a crate that is not used here otherwise.
        last_modified: Default::default(),
        size,
        e_tag,
        version: None,
    };
    let since = u64::try_from(modified.as_millisecond()).unwrap_or_default();
    meta.last_modified += Duration::from_millis(since);
    meta
}

/// What the headers of an answer say about an object.
fn of_headers(path: &Path, headers: &HeaderMap, size: u64) -> Result<ObjectMeta> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let modified = text(LAST_MODIFIED).ok_or_else(|| failed(Strange("no Last-Modified")))?;
    let modified = jiff::fmt::rfc2822::parse(modified)
        .map_err(failed)?
        .timestamp();
    Ok(meta(
        path.clone(),
        size,
        modified,
        text(ETAG).map(str::to_owned),
    ))
}

#[async_trait]
impl ObjectStore for Swift {
    async fn put_opts(&self, path: &Path, payload: PutPayload, _: PutOptions) -> Result<PutResult> {
        let request = self.request(Method::PUT, &self.url(path));
        let response = self.send(request, payload).await.map_err(no_container)?;
        Ok(put_result(response.headers()))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported("put_multipart_opts"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let method = if options.head {
            Method::HEAD
        } else {
            Method::GET
        };
        let mut request = self.request(method, &self.url(path));
        if let Some(GetRange::Bounded(range)) = &options.range {
            let last = range.end.saturating_sub(1);
            request = request.header(RANGE, format!("bytes={}-{last}", range.start));
        }
        if let Some(tag) = &options.if_match {
            request = request.header(IF_MATCH, tag);
        }
        let response = self.send(request, Bytes::new()).await?;
        let (parts, body) = response.into_parts();
        let (range, size) = match parts.headers.get(CONTENT_RANGE) {
            Some(value) => {
                content_range(value.as_bytes()).ok_or_else(|| failed(Strange("Content-Range")))?
            }
            None if options.range.is_some() => return Err(failed(Strange("the whole object"))),
            None => {
                let size = content_length(&parts.headers)
                    .ok_or_else(|| failed(Strange("no Content-Length")))?;
                (0..size, size)
            }
        };
        let stream = body.bytes_stream().map_err(failed).boxed();
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream),
            meta: of_headers(path, &parts.headers, size)?,
            range,
            attributes: Attributes::default(),
            extensions: parts.extensions,
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let delete = move |path: Path| {
            let this = this.clone();
            async move { this.delete_one(&path).await.map(|()| path) }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(prefix, false)
            .map_ok(|page| stream::iter(page.into_iter().map(listed)))
            .try_flatten()
            .try_filter_map(async |meta| Ok(meta))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut pages = self.pages(prefix, true);
        let (mut common_prefixes, mut objects) = (Vec::new(), Vec::new());
        while let Some(page) = pages.try_next().await? {
            for entry in page {
                match entry {
                    Entry::Directory { subdir } => common_prefixes.push(Path::parse(subdir)?),
                    object @ Entry::Object { .. } => objects.extend(listed(object)?),
                }
            }
        }
        Ok(ListResult {
            common_prefixes,
            objects,
            extensions: http::Extensions::new(),
        })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(unsupported("copy_opts"))
    }
}

impl fmt::Display for Swift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Swift({})", self.container)
    }
}

/// Sends a request; an answer that is no success is an error that has the [`Answer`].
async fn send(
    client: &HttpClient,
    request: http::request::Builder,
    body: impl Into<HttpRequestBody>,
) -> Result<HttpResponse> {
    let request = request.body(body.into()).map_err(failed)?;
    client.execute(request).await.map_err(failed)
}

fn put_result(headers: &HeaderMap) -> PutResult {
    let tag = headers.get(ETAG).and_then(|value| value.to_str().ok());
    PutResult {
        e_tag: tag.map(str::to_owned),
        version: None,
        extensions: http::Extensions::new(),
    }
}

/// `bytes 0-9/100`.
fn content_range(value: &[u8]) -> Option<(Range<u64>, u64)> {
    let text = std::str::from_utf8(value).ok()?.strip_prefix("bytes ")?;
    let (range, size) = text.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let end = last.parse::<u64>().ok()?.checked_add(1)?;
    Some((first.parse().ok()?..end, size.parse().ok()?))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A name in a URL, slashes as they are.
fn encoded(name: &str) -> String {
    use fmt::Write;
    let mut url = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                url.push(char::from(byte));
            }
            // Writing to a text cannot fail.
            _ => drop(write!(url, "%{byte:02X}")),
        }
    }
    url
}

/// The server said what it should not.
#[derive(Debug, thiserror::Error)]
#[error("unexpected answer: {0}")]
struct Strange(&'static str);

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic {
        store: "swift",
        source: Box::new(error),
    }
}

fn unsupported(operation: &str) -> Error {
    Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "swift".to_owned(),
    }
}

/// There is always something to write to or to list, unless the container itself is missing.
fn no_container(error: Error) -> Error {
    let Some(answer) = answer_in(&error).filter(|answer| answer.status == 404) else {
        return error;
    };
    let answer = Answer {
        code: Some(NO_CONTAINER.to_owned()),
        ..answer.clone()
    };
    failed(HttpError::new(HttpErrorKind::Unknown, answer))
}

fn answer_in(error: &Error) -> Option<&Answer> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(answer) = error.downcast_ref() {
            return Some(answer);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_answers_are_read() {
        assert_eq!(content_range(b"bytes 5-9/100"), Some((5..10, 100)));
        assert_eq!(content_range(b"bytes 0-0/1"), Some((0..1, 1)));
        for odd in [
            "bytes */100",
            "bytes 5-/9",
            "bytes 0-18446744073709551615/1",
            "items 1-2/3",
            "",
        ] {
            assert_eq!(content_range(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn names_in_urls_are_escaped_once() {
        assert_eq!(encoded("a/b c%41é~"), "a/b%20c%2541%C3%A9~");
    }

    #[test]
    fn listings_are_read() {
        let text = r#"[
            {"subdir": "a/"},
            {"name": "a/", "bytes": 0, "hash": "h", "last_modified": "2026-11-26T15:18:05.000000", "content_type": "x"},
            {"name": "b", "bytes": 7, "hash": "h", "last_modified": "2026-11-26T15:18:05.123450"}
        ]"#;
        let entries: Vec<Entry> = serde_json::from_str(text).unwrap();
        let objects: Vec<_> = entries
            .into_iter()
            .filter_map(|entry| listed(entry).unwrap())
            .collect();
        let [object] = objects.as_slice() else {
            panic!("{objects:?}");
        };
        assert_eq!((object.location.as_ref(), object.size), ("b", 7));
        assert_eq!(object.last_modified.timestamp_millis(), 1_795_706_285_123);
    }
}
