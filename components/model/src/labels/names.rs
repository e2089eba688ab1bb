//! Label names that have a meaning here (api.md 1.9).

/// The profile's name, such as `process_cpu`.
pub const NAME: &str = "__name__";
/// The service that was profiled.
pub const SERVICE_NAME: &str = "service_name";
/// The five-part id of the profile type.
pub const PROFILE_TYPE: &str = "__profile_type__";
/// The sample type, such as `alloc_space`.
pub const TYPE: &str = "__type__";
/// The unit of the sample type.
pub const UNIT: &str = "__unit__";
/// The period type, if the profile has one.
pub const PERIOD_TYPE: &str = "__period_type__";
/// The unit of the period type.
pub const PERIOD_UNIT: &str = "__period_unit__";
/// A copy of [`SERVICE_NAME`] that sorts early, for the locality of data.
pub const SERVICE_NAME_PRIVATE: &str = "__service_name__";
/// The only name with a leading `__` that clients may send through `/ingest`.
pub const SESSION_ID: &str = "__session_id__";
/// Control: `false` says that values need no delta computation. Not stored.
pub const DELTA: &str = "__delta__";
/// Control: `true` for data that came over OTLP. Not stored.
pub const OTEL: &str = "__otel__";
/// Control: `enforced` puts the profile type and the service first. Not stored.
pub const ORDER: &str = "__order__";
/// The name before a default relabelling rule changed it.
pub const NAME_REPLACED: &str = "__name_replaced__";
/// The program that profiled, as given to `/ingest`.
pub const SPY: &str = "pyroscope_spy";
/// The application given to `/ingest` when a tag names the service.
pub const APP_NAME: &str = "app_name";
/// The active setting of JFR's event.
pub const JFR_EVENT: &str = "jfr_event";
/// The name of a speedscope profile.
pub const PROFILE_NAME: &str = "profile_name";
/// What [`SERVICE_NAME`] is if nobody says.
pub const UNKNOWN_SERVICE: &str = "unknown_service";
