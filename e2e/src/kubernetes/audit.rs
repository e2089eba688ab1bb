//! What was asked of the API server, by whom, from its audit log.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

/// The log.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` …
    pub verb: String,
    /// The resource, as `deployments` or `deployments/status`.
    pub resource: String,
    /// Its group.
    pub group: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Status of the answer.
    pub code: i64,
}

impl Request {
    /// Whether it can change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

impl Audit {
    pub(super) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Number of lines up to now: where to begin to read later.
    ///
    /// # Errors
    /// The file is not readable.
    pub fn mark(&self) -> anyhow::Result<usize> {
        Ok(self.text()?.lines().count())
    }

    /// The requests of a user from a mark on.
    ///
    /// # Errors
    /// The file is not readable.
    pub fn since(&self, mark: usize, user: &str) -> anyhow::Result<Vec<Request>> {
        let text = self.text()?;
        let lines = text.lines().skip(mark);
        let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let requests = events.map(|event| request(&event));
        Ok(requests.filter(|request| request.user == user).collect())
    }

    fn text(&self) -> anyhow::Result<String> {
        fs::read_to_string(&self.path).with_context(|| format!("read {}", self.path.display()))
    }
}

fn request(event: &Value) -> Request {
    let text = |path: &str| {
        let value = event.pointer(path).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let sub = text("/objectRef/subresource");
    let mut resource = text("/objectRef/resource");
    if !sub.is_empty() {
        resource = format!("{resource}/{sub}");
    }
    Request {
        user: text("/user/username"),
        verb: text("/verb"),
        resource,
        group: text("/objectRef/apiGroup"),
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        code: event
            .pointer("/responseStatus/code")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
    }
}
