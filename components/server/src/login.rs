//! Who asks, and whether they may: before anything else is done for a request.
//!
//! What needs a login that is not there is 401, what a login is not for is 403; both in the words of the protocol that was asked
//! in. Which right a path needs: [`need`].

mod claim;
mod need;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use phlare_credentials::{Login, Logins, LoginsFile, Password, PasswordCheck, Right};
use phlare_model::{ErrorKind, TenantError};
use tokio::sync::Semaphore;

use crate::http::http_error;
use crate::metrics::Metrics;
use crate::offload::Offload;
use crate::rpc::gate;
use crate::status::Status;
use crate::tenant::{HEADER, TenantMode};
use crate::tls::ClientNames;
use claim::Claim;
use need::Need;

/// How many passwords are checked at once: each takes a processor for 50 ms or more.
const CHECKS: usize = 2;
/// How many wait for that; more are refused.
const WAITING: usize = 64;

/// Who may ask. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Those who are known; `None`: logins are off.
    pub logins: Option<LoginsFile>,
    /// Without logins: a certificate of a client is one, for everything.
    pub certificate_needed: bool,
    /// `/metrics` needs no login.
    pub metrics_open: bool,
}

/// The guard at work. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    guard: Guard,
    tenants: TenantMode,
    offload: Offload,
    metrics: Metrics,
    checks: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// One who waits for a password to be checked.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets a request in, or answers it.
pub(crate) async fn layer(State(door): State<Door>, request: Request, next: Next) -> Response {
    if door.is_open() {
        return next.run(request).await;
    }
    let need = need::of(request.uri().path());
    let right = match need {
        Need::Nothing => return next.run(request).await,
        Need::Right(Right::Metrics) if door.guard.metrics_open => return next.run(request).await,
        Need::Right(right) => right,
    };
    let (mut parts, body) = request.into_parts();
    match door.admit(&mut parts, right).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(status) => {
            gate::drain(body).await;
            door.refuse(status, &parts)
        }
    }
}

impl Door {
    pub(crate) fn new(
        guard: Guard,
        tenants: TenantMode,
        offload: Offload,
        metrics: Metrics,
    ) -> Self {
        Self {
            guard,
            tenants,
            offload,
            metrics,
            checks: Arc::new(Semaphore::new(CHECKS)),
            waiting: Arc::default(),
        }
    }

    fn is_open(&self) -> bool {
        self.guard.logins.is_none() && !self.guard.certificate_needed
    }

    async fn admit(&self, parts: &mut Parts, right: Right) -> Result<(), Status> {
        let names = parts.extensions.get::<ClientNames>().cloned();
        let names = names.and_then(|ClientNames(names)| names);
        let Some(file) = &self.guard.logins else {
            return match names {
                Some(_) => {
                    self.metrics.login("certificate", "admitted");
                    Ok(())
                }
                None => {
                    self.metrics.login("none", "unknown");
                    let message = "present a certificate: without one, only pages that say whether the process is ready are open";
                    Err(Status::new(ErrorKind::Unauthenticated, message))
                }
            };
        };
        let logins = file.current();
        let claim = Claim::of(&parts.headers);
        let method = claim.method(names.is_some());
        let login = match self.known(&logins, claim, names).await {
            Ok(login) => login,
            Err(status) => {
                let outcome = match status.kind {
                    ErrorKind::Unauthenticated => "unknown",
                    _ => "busy",
                };
                self.metrics.login(method, outcome);
                return Err(status);
            }
        };
        let allowed = self.allow(&login, right, parts);
        let outcome = if allowed.is_ok() {
            "admitted"
        } else {
            "refused"
        };
        self.metrics.login(method, outcome);
        // Nobody behind this needs it.
        parts.headers.remove(AUTHORIZATION);
        allowed
    }

    /// Whose login it is.
    async fn known(
        &self,
        logins: &Arc<Logins>,
        claim: Claim,
        names: Option<Arc<[String]>>,
    ) -> Result<Arc<Login>, Status> {
        let unknown = |message: &str| Status::new(ErrorKind::Unauthenticated, message);
        match claim {
            Claim::Token(token) => logins
                .token(token.as_bytes())
                .cloned()
                .ok_or_else(|| unknown("the bearer token is not known here")),
            Claim::Password { user, password } => {
                let known = match logins.password(&user, &password) {
                    Password::Right(login) => Some(login),
                    Password::Wrong => None,
                    Password::Unknown(check) => self.check(check).await?,
                };
                known.ok_or_else(|| unknown("user and password do not go together"))
            }
            Claim::Unreadable => Err(unknown(
                "the header `Authorization` is neither `Bearer TOKEN` nor `Basic` with user and password",
            )),
            Claim::None => {
                let message = match &names {
                    None => "log in: send a token or a password in the header `Authorization`",
                    Some(_) => {
                        "the certificate is not one of a login: none of its DNS names is known here"
                    }
                };
                let login = logins.certificate(names.as_deref().unwrap_or_default());
                login.cloned().ok_or_else(|| unknown(message))
            }
        }
    }

    async fn check(&self, check: PasswordCheck) -> Result<Option<Arc<Login>>, Status> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if waiting >= WAITING {
            let message = "too many passwords wait to be checked";
            let status = Status::new(ErrorKind::Unavailable, message);
            return Err(status.with_retry_after(std::time::Duration::from_secs(1)));
        }
        let _permit = self.checks.acquire().await.expect("nobody closes it");
        Ok(self.offload.run(move || check.run()).await?)
    }

    /// Whether this login is for what is asked; one for a single tenant names it.
    fn allow(&self, login: &Login, right: Right, parts: &mut Parts) -> Result<(), Status> {
        if !login.may(right) {
            let message = format!("login `{}` lacks the right `{right}`", login.name);
            return Err(Status::new(ErrorKind::PermissionDenied, message));
        }
        if self.tenants == TenantMode::Single {
            return Ok(());
        }
        let asked = match self.tenants.tenant(&parts.headers) {
            Ok(tenant) => Some(tenant),
            Err(TenantError::Missing) => None,
            // Said where the tenant is needed, or here if it might be another's.
            Err(error) => {
                return match right {
                    Right::Read | Right::Write => Err(error.into()),
                    Right::Admin | Right::Metrics | Right::Internal => Ok(()),
                };
            }
        };
        if let Some(tenant) = login.tenant(asked.as_ref())? {
            let value = HeaderValue::from_str(tenant.as_str()).map_err(|error| {
                Status::new(ErrorKind::Internal, format!("tenant {tenant}: {error}"))
            })?;
            parts.headers.insert(HEADER, value);
        }
        Ok(())
    }

    fn refuse(&self, status: Status, parts: &Parts) -> Response {
        let path = parts.uri.path();
        let is_rpc =
            parts.method == Method::POST && (need::is_method(path) || gate::is_rpc(&parts.headers));
        let mut response = match is_rpc {
            true => gate::refuse(status, parts),
            false => http_error(status),
        };
        if response.status() == StatusCode::UNAUTHORIZED {
            let logins = self.guard.logins.as_ref().map(LoginsFile::current);
            let headers = response.headers_mut();
            headers.append(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"phlare\""),
            );
            if logins.is_some_and(|logins| logins.has_users()) {
                let basic = "Basic realm=\"phlare\", charset=\"UTF-8\"";
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(basic));
            }
        }
        response
    }
}
