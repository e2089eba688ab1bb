//! Buckets as URLs name them.

use std::path::PathBuf;

use crate::config::{Backend, Config, ConfigError};

/// The settings that a URL stands for. The query has keys of the store's section, such as `region` and `endpoint`; a
/// secret is none of them, because command lines are seen by others.
pub(super) fn config(url: &str) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let wrong = |problem: String| ConfigError {
        key: url.to_owned(),
        problem,
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        config.filesystem.dir = PathBuf::from(url);
        return Ok(config);
    };
    if scheme == "file" {
        config.filesystem.dir = PathBuf::from(rest);
        return Ok(config);
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    config.prefix = prefix.trim_matches('/').to_owned();
    match scheme {
        "s3" => {
            config.backend = Backend::S3;
            config.s3.bucket_name = bucket.to_owned();
        }
        "gs" | "gcs" => {
            config.backend = Backend::Gcs;
            config.gcs.bucket_name = bucket.to_owned();
        }
        "az" | "azure" => {
            config.backend = Backend::Azure;
            config.azure.container_name = bucket.to_owned();
        }
        "swift" => {
            config.backend = Backend::Swift;
            config.swift.container_name = bucket.to_owned();
        }
        _ => {
            let known = "begins with s3://, gs://, az://, swift:// or file://, or is a directory";
            return Err(wrong(known.to_owned()));
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
        let value = decoded(value).ok_or_else(|| wrong(format!("`{pair}` is not well encoded")))?;
        set(&mut config, key, &value).map_err(wrong)?;
    }
    Ok(config)
}

fn set(config: &mut Config, key: &str, value: &str) -> Result<(), String> {
    let unknown = || {
        let known = match config.backend {
            Backend::S3 => "region, endpoint, insecure, bucket_lookup_type",
            Backend::Azure => "account_name, endpoint_suffix, user_assigned_id",
            Backend::Swift => "auth_url, region_name",
            Backend::Filesystem | Backend::Gcs => "nothing",
        };
        format!("`{key}` is unknown after `?`: there may be {known}")
    };
    match (config.backend, key) {
        (Backend::S3, "region") => value.clone_into(&mut config.s3.region),
        (Backend::S3, "endpoint") => value.clone_into(&mut config.s3.endpoint),
        (Backend::S3, "insecure") => config.s3.insecure = phlare_model::flag::go_bool(value)?,
        (Backend::S3, "bucket_lookup_type") => config.s3.bucket_lookup_type = value.parse()?,
        (Backend::Azure, "account_name") => value.clone_into(&mut config.azure.account_name),
        (Backend::Azure, "endpoint_suffix") => value.clone_into(&mut config.azure.endpoint_suffix),
        (Backend::Azure, "user_assigned_id") => {
            value.clone_into(&mut config.azure.user_assigned_id);
        }
        (Backend::Swift, "auth_url") => value.clone_into(&mut config.swift.auth_url),
        (Backend::Swift, "region_name") => value.clone_into(&mut config.swift.region_name),
        _ => return Err(unknown()),
    }
    Ok(())
}

/// With `%41` as `A`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = rest.get(2..)?;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_settings() {
        let s3 =
            config("s3://profiles/a/b/?region=eu-west-1&endpoint=http%3A%2F%2Fminio:9000&insecure")
                .unwrap();
        assert_eq!((s3.backend, s3.prefix.as_str()), (Backend::S3, "a/b"));
        assert_eq!(s3.s3.bucket_name, "profiles");
        assert_eq!(s3.s3.region, "eu-west-1");
        assert_eq!(s3.s3.endpoint, "http://minio:9000");
        assert!(s3.s3.insecure);
        let gcs = config("gs://profiles").unwrap();
        assert_eq!(
            (gcs.backend, gcs.gcs.bucket_name.as_str()),
            (Backend::Gcs, "profiles")
        );
        let azure = config("az://profiles/p?account_name=a").unwrap();
        assert_eq!(
            (azure.backend, azure.azure.account_name.as_str()),
            (Backend::Azure, "a")
        );
        for dir in ["file:///data/bucket", "/data/bucket"] {
            let config = config(dir).unwrap();
            assert_eq!(config.backend, Backend::Filesystem);
            assert_eq!(config.filesystem.dir, PathBuf::from("/data/bucket"));
        }
    }

    #[test]
    fn what_is_no_url_of_a_bucket_is_refused() {
        let refused = |url: &str, expected: &str| {
            let error = config(url).unwrap_err().to_string();
            assert!(error.contains(url) && error.contains(expected), "{error}");
        };
        refused("ftp://x", "s3://");
        refused(
            "s3://b?secret_access_key=x",
            "`secret_access_key` is unknown",
        );
        refused("s3://b?endpoint=%zz", "encoded");
        refused("s3://b?insecure=perhaps", "boolean");
    }
}
