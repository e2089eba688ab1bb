//! `phlare-store ADDRESS DIR`: S3 over a directory, for clusters of tests that have no object store.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use phlare_e2e::store::Store;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let serve = async {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let [address, directory] = arguments.as_slice() else {
            bail!("usage: phlare-store ADDRESS DIR, as in `phlare-store 0.0.0.0:9000 /data`");
        };
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let _store = Store::at(Path::new(directory), address).await?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    };
    let runtime = tokio::runtime::Runtime::new().context("start");
    match runtime.and_then(|runtime| runtime.block_on(serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "store: {error:#}");
            ExitCode::FAILURE
        }
    }
}
