//! Logs that were damaged between two runs: the server starts, says what it found, and has all the rest.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use phlare_e2e::server::segments;
use phlare_e2e::{Options, Server};

use super::{Totals, again, check, push_in_turn, stored, unlimited};

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_the_end_of_the_log_is_cut_and_said() -> anyhow::Result<()> {
    let (mut server, sent) = loaded(20).await?;
    server.kill()?;
    let last = newest(&server)?;
    OpenOptions::new()
        .append(true)
        .open(&last)?
        .write_all(&[0xa5; 77])?;
    let mut server = again(&server).await?;
    check(&server.client()?, &sent, &Totals::new()).await?;
    let complaints = server.complaints()?.join("\n");
    ensure!(
        complaints.contains("77"),
        "the log does not say that 77 bytes were cut: {complaints}"
    );
    // What comes next is kept again.
    let more = push_in_turn(&server.client()?, &["later".to_owned()]).await?;
    server.kill()?;
    let server = again(&server).await?;
    let all = sent.into_iter().chain(more).collect();
    check(&server.client()?, &all, &Totals::new()).await?;
    ensure!(
        server.complaints()?.is_empty(),
        "a cut tail is found again: {:?}",
        server.complaints()?
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_in_the_middle_of_a_record_loses_that_record_only() -> anyhow::Result<()> {
    let (mut server, mut sent) = loaded(20).await?;
    server.kill()?;
    let last = newest(&server)?;
    let length = last.metadata()?.len();
    OpenOptions::new()
        .write(true)
        .open(&last)?
        .set_len(length - 3)?;
    let server = again(&server).await?;
    let (torn, totals) = sent.pop_last().context("profiles were pushed")?;
    check(&server.client()?, &sent, &Totals::from([(torn, totals)])).await?;
    let complaints = server.complaints()?.join("\n");
    ensure!(
        complaints.contains("bytes="),
        "the log does not say how much was cut: {complaints}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_the_middle_of_the_log_costs_one_record_and_is_reported()
-> anyhow::Result<()> {
    let (mut server, sent) = loaded(20).await?;
    server.kill()?;
    let path = newest(&server)?;
    let mut bytes = std::fs::read(&path)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("the log is not empty")? ^= 0x40;
    std::fs::write(&path, bytes)?;
    let server = again(&server).await?;
    let found = stored(&server.client()?, types(&sent).iter()).await?;
    let lost: Vec<&String> = sent
        .keys()
        .filter(|push| !found.contains_key(*push))
        .collect();
    ensure!(lost.len() <= 1, "one byte cost {lost:?}");
    ensure!(
        found
            .iter()
            .all(|(push, totals)| sent.get(push) == Some(totals)),
        "{found:?} is not what was sent"
    );
    let complaints = server.complaints()?.join("\n");
    ensure!(
        complaints.contains("offset=") && complaints.contains("bytes="),
        "damage must be reported: {complaints}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_entries_beside_the_log_do_not_keep_the_server_from_starting() -> anyhow::Result<()>
{
    let (mut server, sent) = loaded(5).await?;
    server.kill()?;
    let wal = newest(&server)?
        .parent()
        .context("a segment lies in a directory")?
        .to_owned();
    std::fs::write(wal.join("99999999.wal"), b"")?;
    std::fs::write(wal.join("notes.txt"), b"hello")?;
    std::fs::create_dir(server.data().join("ingester").join("lost+found"))?;
    std::fs::create_dir(server.data().join("ingester").join("empty-tenant"))?;
    let server = again(&server).await?;
    check(&server.client()?, &sent, &Totals::new()).await
}

/// A server that has taken profiles, in an order that follows from their names.
async fn loaded(count: usize) -> anyhow::Result<(Server, Totals)> {
    let options: Options = unlimited();
    let server = options.start().await?;
    let names: Vec<String> = (0..count).map(|number| format!("{number:03}")).collect();
    let sent = push_in_turn(&server.client()?, &names).await?;
    Ok((server, sent))
}

fn newest(server: &Server) -> anyhow::Result<PathBuf> {
    segments(&server.data(), "anonymous")?
        .pop()
        .context("the log has a segment")
}

fn types(sent: &Totals) -> Vec<String> {
    let mut types: Vec<String> = sent
        .values()
        .flat_map(|totals| totals.keys().cloned())
        .collect();
    types.sort();
    types.dedup();
    types
}
