//! `blocks`: what lies in a directory or a bucket, without a server.

mod choose;
mod compact;
mod files;
mod find;
mod inspect;
mod list;
mod make;
mod query;
mod rewrite;
mod verify;

use crate::cli::{BlocksCommand, PlaceArgs, ServerArgs};

use find::Places;

/// Runs a command about blocks.
pub(crate) async fn run(
    command: &BlocksCommand,
    server: &ServerArgs,
    now_ms: i64,
) -> anyhow::Result<()> {
    let places = |args: &PlaceArgs| Places::new(args, server.tenant_id.as_deref());
    match command {
        BlocksCommand::List(args) => list::run(&places(&args.place)?, args.output).await,
        BlocksCommand::Inspect(args) => inspect::run(&places(&args.place)?, args).await,
        BlocksCommand::Verify(args) => verify::run(&places(&args.place)?, args).await,
        BlocksCommand::Query(command) => {
            query::run(&places(command.place())?, command, now_ms).await
        }
        BlocksCommand::Compact(args) => compact::run(&places(&args.place)?, args).await,
        BlocksCommand::Rewrite(args) => rewrite::run(&places(&args.place)?, args, now_ms).await,
    }
}
