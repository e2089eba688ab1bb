//! Who a certificate is for.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The DNS names of a certificate, in lower case; none if it cannot be read. Says nothing of whether it is to be trusted.
#[must_use]
pub fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    let names = certificate.valid_dns_names();
    names.map(str::to_ascii_lowercase).collect()
}
