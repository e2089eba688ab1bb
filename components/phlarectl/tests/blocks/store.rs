//! As much of an S3 server as reading needs: the files of a directory, to whoever asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::support::{Ran, command, run};

const BUCKET: &str = "profiles";

/// The server; it ends when this is dropped.
pub(crate) struct Store {
    address: String,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    list_type: Option<u8>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    delimiter: String,
}

impl Store {
    pub(crate) fn start(directory: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let root = Arc::new(directory.to_owned());
        let app = Router::new().fallback(answer).with_state(root);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            _runtime: runtime,
        }
    }

    /// The bucket for the program.
    pub(crate) fn url(&self) -> String {
        let address = &self.address;
        format!(
            "s3://{BUCKET}?region=here&endpoint={address}&insecure=true&bucket_lookup_type=path-style"
        )
    }

    /// Runs `phlarectl blocks` with credentials for the bucket.
    pub(crate) fn blocks(&self, args: &[&str]) -> Ran {
        let mut command = command(args);
        command
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY");
        run(&mut command)
    }
}

async fn answer(
    State(root): State<Arc<PathBuf>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    if asked.list_type.is_some() {
        return list(&root, &asked).into_response();
    }
    let key = uri.path().trim_start_matches('/');
    let key = key.strip_prefix(BUCKET).unwrap().trim_start_matches('/');
    let Ok(bytes) = std::fs::read(root.join(key)) else {
        let text = "<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let about = [
        (header::ETAG, "\"1\""),
        (header::LAST_MODIFIED, "Thu, 26 Nov 2026 12:00:00 GMT"),
    ];
    let size = bytes.len();
    let range = headers.get(header::RANGE).filter(|_| method == Method::GET);
    let Some(range) = range.and_then(|range| range.to_str().ok()) else {
        return (about, bytes).into_response();
    };
    let (first, last) = range
        .strip_prefix("bytes=")
        .unwrap()
        .split_once('-')
        .unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(size).min(size - 1);
    let part = [(
        header::CONTENT_RANGE,
        format!("bytes {first}-{last}/{size}"),
    )];
    let part_of = bytes[first..=last].to_vec();
    (StatusCode::PARTIAL_CONTENT, about, part, part_of).into_response()
}

fn list(root: &Path, asked: &Asked) -> String {
    let mut keys = Vec::new();
    add(root, root, &mut keys);
    keys.sort();
    let (mut objects, mut prefixes) = (String::new(), Vec::new());
    for (key, size) in keys
        .iter()
        .filter(|(key, _)| key.starts_with(&asked.prefix))
    {
        let rest = &key[asked.prefix.len()..];
        match rest.split_once('/') {
            Some((directory, _)) if !asked.delimiter.is_empty() => {
                prefixes.push(format!("{}{directory}/", asked.prefix));
            }
            _ => objects.push_str(&format!(
                "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>\"1\"</ETag>\
                 <LastModified>2026-11-26T12:00:00.000Z</LastModified></Contents>"
            )),
        }
    }
    prefixes.dedup();
    let common = |prefix| format!("<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>");
    let prefixes: String = prefixes.into_iter().map(common).collect();
    format!(
        "<ListBucketResult><IsTruncated>false</IsTruncated>{objects}{prefixes}</ListBucketResult>"
    )
}

fn add(root: &Path, directory: &Path, keys: &mut Vec<(String, u64)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if path.is_dir() {
            add(root, &path, keys);
        } else {
            let key = path.strip_prefix(root).unwrap().to_str().unwrap();
            keys.push((key.to_owned(), entry.metadata().unwrap().len()));
        }
    }
}
