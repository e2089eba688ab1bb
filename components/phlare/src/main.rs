//! `phlare`: all components of the system in one program; `-target=` picks.
//!
//! Knows nothing of what the components do. It reads the settings, connects the components with each
//! other, starts them in order, and stops them in reverse.

mod adapters;
mod args;
mod components;
mod config;
mod credentials;
mod discovery;
mod logging;
mod prepare;
mod profiler;
mod queries;
mod rings;
mod routes;
mod run;
mod runtime_config;
mod self_profiling;
mod storage;
mod target;
mod tenant_files;
mod traces;
mod ui;
mod yaml;

use std::process::ExitCode;

use args::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Some crates are built without a TLS provider of their own; a second installation cannot happen here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The allocator asks for huge pages, which a head of many small things fills badly: 82 MB instead of
    // 51 MB resident after 10 000 profiles. Where the system does not know them, nothing is lost.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let outcome = match args::read(std::env::args_os()) {
        Ok(Command::Run(config)) => run::run(&config),
        Ok(Command::Print(text)) => {
            ui::answer(&text);
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::complain(&error);
            ExitCode::FAILURE
        }
    }
}
