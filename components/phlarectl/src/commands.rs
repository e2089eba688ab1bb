//! What each command does.

mod blocks;
mod cardinality;
mod files;
mod labels;
mod profile;
mod ready;
mod series;
mod timeseries;
mod top;
mod upload;

use phlare_model::{Clock, SystemClock};

use crate::cli::{Cli, Command, QueryCommand};
use crate::client::Client;

/// Runs the command.
pub(crate) async fn run(cli: &Cli) -> anyhow::Result<()> {
    let client = || Client::new(&cli.server);
    let now_ms = SystemClock.now_ms();
    match &cli.command {
        Command::Upload(args) => upload::run(&client()?, args, now_ms).await,
        Command::Query(query) => match query {
            QueryCommand::Profile(args) => profile::run(&client()?, args, now_ms).await,
            QueryCommand::GoPgo(args) => profile::go_pgo(&client()?, args, now_ms).await,
            QueryCommand::Series(args) => series::run(&client()?, args, now_ms).await,
            QueryCommand::Timeseries(args) => timeseries::run(&client()?, args, now_ms).await,
            QueryCommand::Top(args) => top::run(&client()?, args, now_ms).await,
            QueryCommand::LabelValuesCardinality(args) => {
                cardinality::run(&client()?, args, now_ms).await
            }
        },
        Command::Labels(args) => labels::labels(&client()?, args, now_ms).await,
        Command::Types(args) => labels::types(&client()?, args, now_ms).await,
        Command::Ready => ready::run(&client()?).await,
        Command::Blocks(command) => blocks::run(command, &cli.server).await,
    }
}
