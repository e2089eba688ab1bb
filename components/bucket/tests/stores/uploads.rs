//! Uploads in parts through a server that fails in between.

use phlare_bucket::{Bucket, ErrorKind};
use tempfile::TempDir;

use crate::faulty::{Asked, Faulty, Reply};

const SIZE: usize = 17 << 20;

/// What a good server answers; parts are told by their query.
fn good(asked: &Asked) -> Reply {
    match (asked.method.as_str(), asked.path.contains("uploadId=")) {
        ("POST", false) => Reply::ok(
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        ("POST", true) => Reply::ok(
            "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>",
        ),
        _ => Reply::ok(""),
    }
}

fn is_finish(asked: &Asked) -> bool {
    asked.method == "POST" && asked.path.contains("uploadId=")
}

async fn upload(bucket: &Bucket) -> Result<u64, phlare_bucket::Error> {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, vec![7; SIZE]).unwrap();
    bucket.upload("t/profiles.parquet", &file).await
}

#[tokio::test]
async fn a_part_that_fails_is_sent_again_and_no_other() {
    let server = Faulty::start(|asked| {
        let second = asked.path.contains("partNumber=2");
        match second && asked.before < 5 {
            true => Reply::refusal(500, "InternalError", "We encountered an internal error."),
            false => good(asked),
        }
    })
    .await;
    let bucket = server.bucket().with_retries(phlare_bucket::Retries {
        tries: 6,
        ..crate::faulty::quick()
    });
    assert_eq!(upload(&bucket).await.unwrap(), SIZE as u64);
    let sent = |part: &str| {
        server
            .asked()
            .iter()
            .filter(|asked| asked.path.contains(part))
            .count()
    };
    assert_eq!((sent("partNumber=1"), sent("partNumber=3")), (1, 1));
    assert!(sent("partNumber=2") > 1);
}

#[tokio::test]
async fn an_upload_whose_last_answer_was_lost_is_done() {
    let server = Faulty::start(|asked| {
        if is_finish(asked) {
            // The first one worked, and nobody heard.
            return match asked.before {
                4 => Reply::HangUp,
                _ => Reply::refusal(404, "NoSuchUpload", "The specified upload does not exist."),
            };
        }
        match asked.method.as_str() {
            "HEAD" => Reply::ok(&"x".repeat(SIZE)),
            _ => good(asked),
        }
    })
    .await;
    assert_eq!(upload(&server.bucket()).await.unwrap(), SIZE as u64);
}

#[tokio::test]
async fn an_upload_that_fails_leaves_no_parts() {
    let server = Faulty::start(|asked| match asked.path.contains("partNumber=3") {
        true => Reply::refusal(403, "AccessDenied", "Access Denied"),
        false => good(asked),
    })
    .await;
    let error = upload(&server.bucket()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let last = server.asked().pop().unwrap();
    assert_eq!(last.line(), "DELETE /b/t/profiles.parquet");
    assert!(last.path.contains("uploadId=u"), "{last:?}");
}
