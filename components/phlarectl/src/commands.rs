//! What each command does.

mod blocks;
mod cardinality;
mod convert;
mod files;
pub(crate) mod kubernetes;
mod labels;
mod opened;
mod profile;
mod ready;
mod series;
mod timeseries;
mod top;
mod upload;

use phlare_model::{Clock, SystemClock};

use crate::cli::{Cli, Command, QueryCommand};
use crate::client::Client;
use crate::source::Source;

/// Runs the command.
pub(crate) async fn run(cli: &Cli) -> anyhow::Result<()> {
    let client = || Client::new(&cli.server);
    let server = || client().map(Source::Server);
    let now_ms = SystemClock.now_ms();
    match &cli.command {
        Command::Upload(args) => upload::run(&client()?, args, now_ms).await,
        Command::Convert(args) => convert::run(args, now_ms),
        Command::Query(query) => match query {
            QueryCommand::Profile(args) => profile::run(&server()?, args, now_ms).await,
            QueryCommand::GoPgo(args) => profile::go_pgo(&server()?, args, now_ms).await,
            QueryCommand::Series(args) => series::run(&server()?, args, now_ms).await,
            QueryCommand::Timeseries(args) => timeseries::run(&server()?, args, now_ms).await,
            QueryCommand::Top(args) => top::run(&server()?, args, now_ms).await,
            QueryCommand::LabelValuesCardinality(args) => {
                cardinality::run(&server()?, args, now_ms).await
            }
        },
        Command::Labels(args) => labels::labels(&server()?, args, now_ms).await,
        Command::Types(args) => labels::types(&server()?, args, now_ms).await,
        Command::Ready => ready::run(&client()?).await,
        Command::Blocks(command) => blocks::run(command, &cli.server, now_ms).await,
        Command::Kubernetes(args) => kubernetes::run(args, now_ms).await,
    }
}
