//! A stop in order.

use anyhow::ensure;

use super::{Totals, again, check, push_in_turn, unlimited};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_server_with_code_0_and_everything_is_there_again() -> anyhow::Result<()> {
    let mut server = unlimited().start().await?;
    let names: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let sent = push_in_turn(&server.client()?, &names).await?;
    server.stop_quiet(&[]).await?;
    let mut server = again(&server).await?;
    check(&server.client()?, &sent, &Totals::new()).await?;
    server.stop_quiet(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_does_not_hold_a_stop_up() -> anyhow::Result<()> {
    let mut server = unlimited().start().await?;
    let silent = tokio::net::TcpStream::connect(server.url().trim_start_matches("http://")).await?;
    let before = tokio::time::Instant::now();
    server.stop_quiet(&[]).await?;
    let took = before.elapsed();
    drop(silent);
    ensure!(took.as_secs() < 10, "the stop took {took:?}");
    Ok(())
}
