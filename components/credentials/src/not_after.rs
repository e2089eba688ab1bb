//! When a certificate expires.
//!
//! A walk over as much of X.509 as leads to that one field: no crate that the graph has anyway tells it, and those that do bring
//! a parser for all of ASN.1.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use phlare_model::time::parse_time;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// In seconds since the epoch; `None` if this is no certificate.
pub(crate) fn not_after(certificate: &[u8]) -> Option<i64> {
    let (content, _) = expect(certificate, SEQUENCE)?;
    let (to_be_signed, _) = expect(content, SEQUENCE)?;
    let (first, after) = (element(to_be_signed)?, to_be_signed);
    let rest = match first.0 {
        VERSION => first.2,
        _ => after,
    };
    let (_, _, rest) = element(rest)?; // serial number
    let (_, rest) = expect(rest, SEQUENCE)?; // algorithm
    let (_, rest) = expect(rest, SEQUENCE)?; // issuer
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?; // not before
    let (tag, time, _) = element(rest)?;
    seconds(tag, std::str::from_utf8(time).ok()?)
}

/// Content and what follows, if it is of this kind.
fn expect(input: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(input)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag, content, and what follows.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, input) = input.split_first()?;
    let (&first, mut input) = input.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let digits = usize::from(first & 0x7f);
        if digits == 0 || digits > 4 {
            return None;
        }
        let (bytes, rest) = input.split_at_checked(digits)?;
        length = bytes
            .iter()
            .fold(0, |length, &byte| (length << 8) | usize::from(byte));
        input = rest;
    }
    let (content, rest) = input.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn seconds(tag: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let (year, rest) = digits.split_at_checked(2)?;
            // RFC 5280: years from 50 on are of the last century.
            let century = if year < "50" { "20" } else { "19" };
            (format!("{century}{year}"), rest)
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.to_owned(), rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at.saturating_add(2));
    let time = format!(
        "{year}-{}-{}T{}:{}:{}Z",
        part(0)?,
        part(2)?,
        part(4)?,
        part(6)?,
        part(8)?
    );
    Some(parse_time(&time, 0).ok()?.div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn expiring(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 3, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_time_is_the_one_of_the_certificate() {
        let check = |year, seconds| assert_eq!(not_after(&expiring(year)), Some(seconds));
        check(2000, 951_868_800);
        check(2026, 1_772_323_200);
        // Written with four digits.
        check(2051, 2_561_241_600);
    }

    #[test]
    fn what_is_cut_is_none() {
        let certificate = expiring(2026);
        for length in 0..certificate.len() {
            assert_eq!(not_after(certificate.get(..length).unwrap()), None);
        }
    }

    #[test]
    fn hostile_bytes_are_none() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let _ = not_after(bytes);
        });
    }
}
