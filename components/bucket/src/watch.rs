//! Connections that keep what a server says when it refuses.
//!
//! `object_store` hides the status and the code of an answer behind a text, and drops the headers. Every client of a
//! store, and of the services that hand out its credentials, is wrapped here instead: an answer that is no success
//! becomes an [`Answer`], which the error carries as its source.

use std::future::Future;
use std::pin::Pin;

use bytes::{BufMut, BytesMut};
use futures_util::StreamExt;
use http::StatusCode;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, ReqwestConnector,
};

/// More of a refusal is not read.
const LONGEST_ANSWER: usize = 64 << 10;

/// A server's answer that is no success.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{host} answered {status}")]
pub(crate) struct Answer {
    /// Who answered: the store, or a service that hands out credentials.
    pub(crate) host: String,
    pub(crate) status: u16,
    /// The server's own word for it.
    pub(crate) code: Option<String>,
    /// The server's sentence.
    pub(crate) message: Option<String>,
    /// Where the bucket is, if the server said so.
    pub(crate) region: Option<String>,
}

/// No answer at all.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {text}")]
pub(crate) struct NoAnswer {
    pub(crate) host: String,
    pub(crate) text: String,
}

/// Makes connections that keep answers.
#[derive(Debug, Default)]
pub(crate) struct Watch(ReqwestConnector);

impl HttpConnector for Watch {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Watched(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct Watched(HttpClient);

impl HttpService for Watched {
    // As the trait's macro writes it.
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let authority = request.uri().authority();
            let host = authority.map(ToString::to_string).unwrap_or_default();
            match self.0.execute(request).await {
                Ok(response) if response.status().is_success() => Ok(response),
                Ok(response) => {
                    let answer = read(host, response).await;
                    Err(HttpError::new(HttpErrorKind::Unknown, answer))
                }
                Err(error) => {
                    let kind = error.kind();
                    let text = innermost(&error);
                    Err(HttpError::new(kind, NoAnswer { host, text }))
                }
            }
        })
    }
}

/// The last cause and what came before it, without repetitions.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts = Vec::<String>::new();
    let mut next = Some(error);
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    // An outer text often ends with the inner one.
    let mut kept = Vec::<String>::new();
    for text in texts.into_iter().rev() {
        match kept.last() {
            Some(inner) if text.contains(inner.as_str()) => {}
            _ if kept.len() >= 2 => {}
            _ => kept.push(text),
        }
    }
    kept.reverse();
    kept.join(": ")
}

async fn read(host: String, response: HttpResponse) -> Answer {
    let (parts, body) = response.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name)?;
        Some(value.to_str().ok()?.to_owned())
    };
    let region = header("x-amz-bucket-region");
    let code = header("x-ms-error-code");
    let text = body_text(body).await;
    let mut answer = parse(&text);
    answer.host = host;
    answer.status = parts.status.as_u16();
    answer.region = region.or(answer.region);
    answer.code = answer.code.or(code);
    answer
}

/// What of the body can be had; a refusal with a broken body is still that refusal.
async fn body_text(body: HttpResponseBody) -> String {
    let mut stream = body.bytes_stream();
    let mut read = BytesMut::new();
    while let Some(Ok(part)) = stream.next().await {
        let room = LONGEST_ANSWER.saturating_sub(read.len());
        read.put(part.slice(..part.len().min(room)));
        if read.len() >= LONGEST_ANSWER {
            break;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// Code, message and region from XML (S3, GCS, Azure, STS) or JSON (OAuth, metadata services, Keystone).
pub(crate) fn parse(text: &str) -> Answer {
    let (code, message) = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => in_json(&json),
        Err(_) => (tag(text, "Code"), tag(text, "Message")),
    };
    Answer {
        host: String::new(),
        status: 0,
        code,
        message: message.map(|message| first_line(&message)),
        region: tag(text, "Region"),
    }
}

fn in_json(json: &serde_json::Value) -> (Option<String>, Option<String>) {
    let text = |value: Option<&serde_json::Value>| Some(value?.as_str()?.to_owned());
    match json.get("error") {
        // Keystone, Google: {"error": {"code": 401, "title": …, "message": …}}
        Some(error) if error.is_object() => (
            text(error.get("title")).or_else(|| text(error.get("status"))),
            text(error.get("message")),
        ),
        // OAuth: {"error": "invalid_grant", "error_description": …}
        Some(error) => (text(Some(error)), text(json.get("error_description"))),
        // Amazon's metadata services: {"code": …, "message": …}
        None => (text(json.get("code")), text(json.get("message"))),
    }
}

/// The text of the first such element. These answers are flat, and who writes them is not trusted with a parser.
fn tag(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    let unescape = |text: String, (from, to): (&str, &str)| text.replace(from, to);
    let inner = plain.into_iter().fold(inner.to_owned(), unescape);
    Some(inner.trim().to_owned()).filter(|inner| !inner.is_empty())
}

/// Messages go into lines of a log.
fn first_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let line = text.lines().next().unwrap_or_default();
    line.chars()
        .take(LONGEST)
        .filter(|c| !c.is_control())
        .collect()
}

/// As people read it: `403 Forbidden`.
pub(crate) fn status_text(status: u16) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|s| s.canonical_reason());
    match reason {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: Option<&str>, message: Option<&str>, region: Option<&str>) {
        let answer = parse(text);
        let found = (&answer.code, &answer.message, &answer.region);
        let own = |text: Option<&str>| text.map(str::to_owned);
        assert_eq!(found, (&own(code), &own(message), &own(region)), "{text}");
    }

    #[test]
    fn the_servers_words_are_found_in_what_stores_answer() {
        check(
            "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Access &amp; Denied</Message></Error>",
            Some("AccessDenied"),
            Some("Access & Denied"),
            None,
        );
        check(
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-west-1</Region></Error>",
            Some("AuthorizationHeaderMalformed"),
            Some("m"),
            Some("eu-west-1"),
        );
        check(
            "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>t</Message></Error></ErrorResponse>",
            Some("ExpiredTokenException"),
            Some("t"),
            None,
        );
        check(
            "<Error><Code>AuthenticationFailed</Code><Message>Server failed.\nRequestId:1\nTime:2</Message></Error>",
            Some("AuthenticationFailed"),
            Some("Server failed."),
            None,
        );
        check(
            r#"{"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}}"#,
            Some("Unauthorized"),
            Some("The request you have made requires authentication."),
            None,
        );
        check(
            r#"{"error": "invalid_grant", "error_description": "Invalid JWT"}"#,
            Some("invalid_grant"),
            Some("Invalid JWT"),
            None,
        );
        check("<html>Bad gateway</html>", None, None, None);
        check("", None, None, None);
    }
}
