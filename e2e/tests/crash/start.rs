//! Starts that cannot work: one line that says what to do, and an exit code for scripts.

use std::sync::Arc;

use anyhow::ensure;
use phlare_e2e::{Options, Server};
use tempfile::TempDir;

/// Starts a server that must refuse; its one line must hold these texts.
async fn refused(options: Options, texts: &[&str]) -> anyhow::Result<()> {
    let (status, log) = options.refused().await?;
    ensure!(
        status.code().is_some_and(|code| code != 0),
        "exit {status}: {log}"
    );
    ensure!(
        log.trim_end().lines().count() == 1,
        "expected one line, got:\n{log}"
    );
    for text in texts {
        ensure!(log.contains(text), "{log:?} does not mention {text:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_one_line_that_names_the_flag() -> anyhow::Result<()> {
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = other.local_addr()?.port().to_string();
    let options = Options::new().flag(&format!("-server.http-listen-port={port}"));
    refused(options, &[&port, "-server.http-listen-port"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_cannot_be_written_is_one_line_that_names_it() -> anyhow::Result<()> {
    let directory = TempDir::new()?;
    let file = directory.path().join("file");
    std::fs::write(&file, b"")?;
    // A path through a file can be made by nobody, not even by root.
    let path = file.join("data").display().to_string();
    let options = Options::new().flag(&format!("-pyroscopedb.data-path={path}"));
    refused(options, &[&path, "-pyroscopedb.data-path"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_flag_is_one_line_that_names_the_nearest() -> anyhow::Result<()> {
    let options = Options::new().flag("-server.http-listen-prot=4040");
    refused(
        options,
        &["-server.http-listen-prot", "-server.http-listen-port"],
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_one_line_that_names_file_line_and_the_nearest() -> anyhow::Result<()> {
    let directory = TempDir::new()?;
    let file = directory.path().join("phlare.yaml");
    std::fs::write(&file, "server:\n  http_listen_prot: 4040\n")?;
    let file = file.display().to_string();
    let options = Options::new().flag(&format!("-config.file={file}"));
    refused(
        options,
        &[&file, "line 2", "http_listen_prot", "http_listen_port"],
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_out_of_range_is_one_line_that_names_it() -> anyhow::Result<()> {
    refused(
        Options::new().flag("-log.level=loud"),
        &["log.level", "loud"],
    )
    .await?;
    refused(
        Options::new().flag("-server.http-listen-port=70000"),
        &["70000"],
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_data_is_refused() -> anyhow::Result<()> {
    let directory = Arc::new(TempDir::new()?);
    let mut first: Server = Options::new().directory(&directory).start().await?;
    refused(
        Options::new().directory(&directory),
        &["-pyroscopedb.data-path", "in use"],
    )
    .await?;
    // The first one does not notice.
    first.client()?.get("/ready").await?.ok()?;
    first.stop_quiet(&[]).await
}
