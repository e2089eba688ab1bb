//! Certificates and keys in PEM.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::provider;
use crate::error::Error;

pub(super) fn certificates(
    path: &Path,
    content: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
    let read = read.map_err(|error| Error::content(path, format!("no PEM: {error}")))?;
    if read.is_empty() {
        return Err(Error::content(path, "holds no certificate in PEM"));
    }
    Ok(read)
}

/// A certificate with its chain and its key.
pub(super) fn pair(
    (certificate_path, certificate): (&Path, &[u8]),
    (key_path, key): (&Path, &[u8]),
) -> Result<CertifiedKey, Error> {
    let chain = certificates(certificate_path, certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| Error::content(key_path, "holds no private key in PEM"))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Error::Mismatch {
            certificate: certificate_path.to_owned(),
            key: key_path.to_owned(),
        },
        rustls::Error::InvalidCertificate(problem) => {
            Error::content(certificate_path, problem.to_string())
        }
        other => Error::content(key_path, other),
    })
}

/// Who is believed.
pub(super) fn roots(path: &Path, content: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, content)? {
        roots
            .add(certificate)
            .map_err(|error| Error::content(path, error))?;
    }
    Ok(roots)
}

/// When the first certificate expires, which is the one that is presented.
pub(super) fn not_after(content: &[u8]) -> Option<i64> {
    let first = CertificateDer::pem_slice_iter(content).next()?.ok()?;
    crate::not_after::not_after(&first)
}
