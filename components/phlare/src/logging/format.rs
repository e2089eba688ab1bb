//! Lines of the log say which request they belong to.

use std::fmt;

use phlare_server::{LogFields, log_fields};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Adds `tenant` and `traceID` of the request at hand to what another format writes.
pub(super) struct OfRequest<F> {
    inner: F,
    is_json: bool,
}

impl<F> OfRequest<F> {
    pub(super) fn logfmt(inner: F) -> Self {
        let is_json = false;
        Self { inner, is_json }
    }

    pub(super) fn json(inner: F) -> Self {
        let is_json = true;
        Self { inner, is_json }
    }

    /// Neither needs quotes: tenants have letters, digits and `!-_.*'()`.
    fn write(&self, to: &mut Writer<'_>, fields: &LogFields, has_tenant: bool) -> fmt::Result {
        let trace = fields.trace_id();
        let tenant = fields.tenant.as_ref().filter(|_| !has_tenant);
        match (self.is_json, tenant) {
            (false, None) => write!(to, " traceID={trace}"),
            (false, Some(tenant)) => write!(to, " tenant={tenant} traceID={trace}"),
            (true, None) => write!(to, r#","traceID":"{trace}"}}"#),
            (true, Some(tenant)) => write!(to, r#","tenant":"{tenant}","traceID":"{trace}"}}"#),
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for OfRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(fields) = log_fields() else {
            return self.inner.format_event(context, writer, event);
        };
        let mut line = String::new();
        let inner = Writer::new(&mut line);
        self.inner.format_event(context, inner, event)?;
        let line = line.trim_end();
        let begun = match self.is_json {
            true => line.strip_suffix('}').unwrap_or(line),
            false => line,
        };
        writer.write_str(begun)?;
        // A line about another tenant keeps that.
        let has_tenant = !self.is_json && event.metadata().fields().field("tenant").is_some();
        self.write(&mut writer, &fields, has_tenant)?;
        writer.write_char('\n')
    }
}
