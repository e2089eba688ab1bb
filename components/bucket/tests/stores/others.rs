//! The stores of others: gofakes3, versitygw, Azurite, OpenStack Swift.

use phlare_bucket::{Backend, Bucket, Config, ErrorKind, Metrics};

use crate::conformance::{conform, long_listings_are_whole};
use crate::servers::{self, Running};

fn open(config: &Config) -> Bucket {
    Bucket::open(config, &Metrics::default()).unwrap()
}

fn s3(server: &Running) -> Config {
    let mut config = Config {
        backend: Backend::S3,
        prefix: "p".to_owned(),
        ..Config::default()
    };
    config.s3.endpoint.clone_from(&server.url);
    config.s3.bucket_name = "profiles".to_owned();
    config.s3.access_key_id = "key".to_owned();
    config.s3.secret_access_key = "secret".into();
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn gofakes3_conforms() -> anyhow::Result<()> {
    let Some(server) = servers::gofakes3("profiles").await? else {
        return Ok(());
    };
    let bucket = open(&s3(&server));
    conform(&bucket).await?;
    long_listings_are_whole(&bucket).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn versitygw_conforms() -> anyhow::Result<()> {
    let Some(server) = servers::versitygw("profiles").await? else {
        return Ok(());
    };
    let mut config = s3(&server);
    conform(&open(&config)).await?;
    long_listings_are_whole(&open(&config)).await?;
    config.s3.secret_access_key = "wrong".into();
    let error = open(&config).list("").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(
        error
            .to_string()
            .contains("correct the secret of the access key"),
        "{error}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_api_conforms() -> anyhow::Result<()> {
    let Some(server) = servers::gofakes3("profiles").await? else {
        return Ok(());
    };
    let mut config = Config {
        backend: Backend::Gcs,
        ..Config::default()
    };
    let key = serde_json::json!({
        "gcs_base_url": server.url, "disable_oauth": true,
        "client_email": "phlare@project", "private_key": "", "private_key_id": "",
    });
    config.gcs.service_account = key.to_string().into();
    config.gcs.bucket_name = "profiles".to_owned();
    let bucket = open(&config);
    conform(&bucket).await?;
    assert_eq!(bucket.location("a"), "gcs bucket `profiles`, key `a`");

    config.gcs.bucket_name = "missing".to_owned();
    let error = open(&config).list("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoBucket, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("key of service account `phlare@project` of the settings"),
        "{text}"
    );
    assert!(text.contains("correct `storage.gcs.bucket_name`"), "{text}");
    Ok(())
}

/// Which everybody knows.
const AZURITES_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

#[tokio::test(flavor = "multi_thread")]
async fn azure_conforms() -> anyhow::Result<()> {
    let Some(server) = servers::azurite().await? else {
        return Ok(());
    };
    let text = |key: &str| {
        let url = &server.url;
        format!(
            "AccountName=devstoreaccount1;AccountKey={key};BlobEndpoint={url}/devstoreaccount1;"
        )
    };
    let mut config = Config {
        backend: Backend::Azure,
        prefix: "p".to_owned(),
        ..Config::default()
    };
    config.azure.connection_string = text(AZURITES_KEY).into();
    config.azure.container_name = "profiles".to_owned();

    let error = open(&config).put("t/a", "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoBucket, "{error}");
    assert!(error.to_string().contains("make the container"), "{error}");
    servers::make_azure_container(&server, AZURITES_KEY, "profiles").await?;
    let bucket = open(&config);
    conform(&bucket).await?;
    assert_eq!(
        bucket.location("a"),
        "azure container `profiles`, key `p/a`"
    );

    let wrong = AZURITES_KEY.replace("Eby8", "8ybE");
    config.azure.connection_string = text(&wrong).into();
    let error = open(&config).list("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("with account key of the connection string"),
        "{text}"
    );
    assert!(
        text.contains("AuthorizationFailure") || text.contains("AuthenticationFailed"),
        "{text}"
    );
    assert!(!text.contains(&wrong), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn swift_conforms() -> anyhow::Result<()> {
    let Some(server) = servers::swift().await? else {
        return Ok(());
    };
    let mut config = Config {
        backend: Backend::Swift,
        prefix: "p".to_owned(),
        ..Config::default()
    };
    config.swift.auth_url = format!("{}/auth/v1.0", server.url);
    config.swift.username = "test:tester".to_owned();
    config.swift.password = "testing".into();
    config.swift.container_name = "profiles".to_owned();

    for operation in [
        open(&config).list("t").await.map(drop),
        open(&config).put("t/a", "x".into()).await,
    ] {
        let error = operation.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoBucket, "{error}");
        assert!(
            error
                .to_string()
                .contains("correct `storage.swift.container_name`"),
            "{error}"
        );
    }
    servers::make_swift_container(&server, "profiles").await?;
    let bucket = open(&config);
    conform(&bucket).await?;
    assert_eq!(
        bucket.location("a"),
        "swift container `profiles`, key `p/a`"
    );
    // Parts of large objects have gone with them.
    let segments = Config {
        prefix: String::new(),
        ..config.clone()
    };
    let mut segments = segments;
    segments.swift.container_name = "profiles_segments".to_owned();
    assert_eq!(open(&segments).list("").await?, []);

    config.swift.password = "wrong".into();
    let error = open(&config).list("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let text = error.to_string();
    assert!(text.contains("with login of user `test:tester`"), "{text}");
    assert!(
        text.contains("hands out no credentials: 401 Unauthorized"),
        "{text}"
    );
    Ok(())
}
