//! `multipart/form-data` with a pprof or a recording.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use phlare_model::ErrorKind;
use phlare_server::Status;

/// The parts that matter.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// The pprof; `None` if there is no such part.
    pub(crate) profile: Option<Bytes>,
    /// JSON.
    pub(crate) sample_type_config: Option<Bytes>,
    /// A JFR recording.
    pub(crate) jfr: Option<Bytes>,
    /// The labels of its samples.
    pub(crate) labels: Option<Bytes>,
}

impl Form {
    /// What a body without a form amounts to.
    pub(crate) fn of_profile(profile: Bytes) -> Self {
        Self {
            profile: Some(profile),
            ..Self::default()
        }
    }

    /// Reads a form that is in memory already; its parts are slices of it or copies no larger.
    pub(crate) async fn read(content_type: &str, body: Bytes) -> Result<Self, Status> {
        let mut request = Request::new(Body::from(body));
        let value = content_type
            .parse()
            .map_err(|_| wrong("the Content-Type cannot be read"))?;
        request.headers_mut().insert(CONTENT_TYPE, value);
        // The body's size was limited when it was received.
        DefaultBodyLimit::disable().apply(&mut request);
        let parts = Multipart::from_request(request, &()).await;
        let mut parts = parts.map_err(|error| wrong(&error.body_text()))?;
        let mut form = Self::default();
        while let Some(part) = parts
            .next_field()
            .await
            .map_err(|error| wrong(&error.body_text()))?
        {
            let name = part.name().unwrap_or_default().to_owned();
            let place = match name.as_str() {
                "profile" => &mut form.profile,
                "sample_type_config" => &mut form.sample_type_config,
                "jfr" => &mut form.jfr,
                "labels" => &mut form.labels,
                "prev_profile" => return Err(unsupported_client()),
                _ => continue,
            };
            let bytes = part
                .bytes()
                .await
                .map_err(|error| wrong(&format!("part `{name}`: {}", error.body_text())))?;
            // Of a repeated part the first counts.
            place.get_or_insert(bytes);
        }
        Ok(form)
    }
}

fn wrong(problem: &str) -> Status {
    Status::new(
        ErrorKind::Unprocessable,
        format!("the multipart/form-data body cannot be read: {problem}"),
    )
}

fn unsupported_client() -> Status {
    let message = "unsupported client version: it sends `prev_profile`, a profile to be subtracted; \
                   update the SDK, newer ones send differences themselves";
    Status::new(ErrorKind::Unprocessable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(parts: &[(&str, &str)]) -> Bytes {
        let part = |(name, value): &(&str, &str)| {
            format!(
                "--x\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n{value}\r\n"
            )
        };
        format!("{}--x--\r\n", parts.iter().map(part).collect::<String>()).into()
    }

    const TYPE: &str = "multipart/form-data; boundary=x";

    #[tokio::test]
    async fn parts_are_found_by_name() {
        let large = "p".repeat(3 << 20);
        let form = Form::read(
            TYPE,
            body(&[
                ("other", "1"),
                ("profile", &large),
                ("sample_type_config", "{}"),
            ]),
        )
        .await;
        let form = form.unwrap();
        assert_eq!(form.profile.unwrap(), large);
        assert_eq!(form.sample_type_config.unwrap(), "{}");
        let form = Form::read(TYPE, body(&[("other", "1")])).await.unwrap();
        assert!(form.profile.is_none());
    }

    #[tokio::test]
    async fn clients_that_send_a_previous_profile_are_told_to_update() {
        let status = Form::read(TYPE, body(&[("profile", "p"), ("prev_profile", "q")]))
            .await
            .unwrap_err();
        assert_eq!(status.http_status().as_u16(), 422);
        assert!(
            status.message.starts_with("unsupported client version"),
            "{}",
            status.message
        );
    }

    #[tokio::test]
    async fn damaged_forms_are_refused() {
        for (content_type, body) in [
            ("multipart/form-data", body(&[("profile", "p")])),
            (TYPE, Bytes::from_static(b"hello")),
            (TYPE, body(&[("profile", "p")]).slice(..60)),
        ] {
            let status = Form::read(content_type, body).await.unwrap_err();
            assert_eq!(status.http_status().as_u16(), 422, "{}", status.message);
        }
    }
}
