//! The command line: flags as upstream writes them, `-server.http-listen-port=4040` or with two dashes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, ArgMatches, Args, FromArgMatches};

use crate::config::{self, Config};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run the system.
    Run(Box<Config>),
    /// Print a text and end.
    Print(String),
}

/// Why the command line or the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("unknown flag `{flag}`{hint}; `phlare -help` lists all")]
    UnknownFlag { flag: String, hint: String },
    #[error("{0}; `phlare -help` explains the flags")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] config::Error),
}

/// Flags that are no settings.
#[derive(Debug, Default, clap::Args)]
struct Meta {
    /// File with settings in YAML; flags win over it.
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,

    /// Replaces `${VAR}`, `${VAR:-default}` and `${VAR:=default}` in the file by the environment.
    #[arg(long = "config.expand-env", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = phlare_model::flag::go_bool)]
    expand_env: Option<bool>,

    /// Prints the version.
    #[arg(long = "version")]
    version: bool,

    /// Prints the targets; `*` marks what `all` consists of.
    #[arg(long = "modules")]
    modules: bool,
}

/// Reads the command line and the file that it names.
pub(crate) fn read(argv: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let matches = match command().try_get_matches_from(normalise(argv)) {
        Ok(matches) => matches,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            return Ok(Command::Print(error.render().to_string()));
        }
        Err(error) => return Err(usage(&error)),
    };
    let meta = Meta::from_arg_matches(&matches).map_err(|error| usage(&error))?;
    if meta.version {
        return Ok(Command::Print(format!(
            "phlare {}",
            env!("CARGO_PKG_VERSION")
        )));
    }
    if meta.modules {
        return Ok(Command::Print(config::modules()));
    }
    let mut config = match &meta.config_file {
        Some(path) => config::load(path, meta.expand_env.unwrap_or_default())?,
        None => Config::default(),
    };
    apply_flags(&mut config, &matches)?;
    config.validate()?;
    Ok(Command::Run(Box::new(config)))
}

fn apply_flags(config: &mut Config, matches: &ArgMatches) -> Result<(), Error> {
    config
        .update_from_arg_matches(matches)
        .map_err(|error| usage(&error))
}

fn command() -> clap::Command {
    let command = clap::Command::new("phlare")
        .about("Continuous profiling: takes profiles, keeps them, answers Grafana's queries")
        .after_help("Flags take one dash or two. Defaults and YAML keys: `GET /api/v1/status/config/default`.")
        .args_override_self(true)
        .disable_version_flag(true)
        .max_term_width(120);
    // "For update": no setting is required, and none has a default here. Defaults are those of `Config`.
    Config::augment_args_for_update(Meta::augment_args(command))
}

/// clap takes one dash and several letters for a bundle of short flags; Go takes it for a long one.
fn normalise(argv: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut positional = false;
    let long = |arg: OsString| {
        let Some(text) = arg.to_str() else { return arg };
        positional |= text == "--";
        let mut letters = text.chars();
        let one_dash =
            letters.next() == Some('-') && letters.next().is_some_and(|c| c.is_ascii_alphabetic());
        if !positional && one_dash && text.len() > 2 {
            format!("-{text}").into()
        } else {
            arg
        }
    };
    argv.into_iter().map(long).collect()
}

fn usage(error: &clap::Error) -> Error {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(ContextValue::Strings(texts)) => texts.first().map(String::as_str),
        _ => None,
    };
    let one_dash = |flag: &str| format!("-{}", flag.trim_start_matches('-'));
    match (error.kind(), context(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(flag)) if flag.starts_with('-') => Error::UnknownFlag {
            flag: one_dash(flag),
            hint: context(ContextKind::SuggestedArg)
                .map(|nearest| format!(", did you mean `{}`?", one_dash(nearest)))
                .unwrap_or_default(),
        },
        _ => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            Error::Usage(first.trim_start_matches("error: ").replace("'--", "'-"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<Config, String> {
        let argv = std::iter::once("phlare")
            .chain(args.iter().copied())
            .map(OsString::from);
        match read(argv).map_err(|error| error.to_string())? {
            Command::Run(config) => Ok(*config),
            Command::Print(text) => Err(text),
        }
    }

    #[test]
    fn one_dash_and_two_mean_the_same_and_the_last_wins() {
        let config = run(&[
            "-server.http-listen-port=1",
            "--server.http-listen-port",
            "2",
        ])
        .unwrap();
        assert_eq!(config.server.http_listen_port, 2);
    }

    #[test]
    fn booleans_are_gos() {
        let check = |args: &[&str], expected| {
            assert_eq!(
                run(args).unwrap().multitenancy_enabled,
                expected,
                "{args:?}"
            )
        };
        check(&[], false);
        check(&["-auth.multitenancy-enabled"], true);
        check(&["-auth.multitenancy-enabled=T"], true);
        check(&["-auth.multitenancy-enabled=0"], false);
    }

    #[test]
    fn an_unknown_flag_names_the_nearest() {
        let error = run(&["-server.http-listen-prot=1"]).unwrap_err();
        assert_eq!(
            error,
            "unknown flag `-server.http-listen-prot`, did you mean `-server.http-listen-port`?; `phlare -help` lists all"
        );
    }

    #[test]
    fn a_bad_value_names_flag_and_value() {
        let error = run(&["-server.http-listen-port=many"]).unwrap_err();
        assert!(
            error.contains("many") && error.contains("-server.http-listen-port"),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        std::fs::write(
            &path,
            "server:\n  http_listen_port: 1\n  log_level: debug\n",
        )
        .unwrap();
        let file = format!("-config.file={}", path.display());
        let config = run(&[&file, "-server.http-listen-port=2"]).unwrap();
        assert_eq!(config.server.http_listen_port, 2);
        assert_eq!(config.server.log_level, phlare_server::LogLevel::Debug);
        assert_eq!(config.distributor, Config::default().distributor);
    }

    #[test]
    fn a_target_that_does_not_exist_is_refused() {
        let error = run(&["-target=ingestor"]).unwrap_err();
        assert!(
            error.contains("ingestor") && error.contains("all"),
            "{error}"
        );
    }

    #[test]
    fn help_and_version_are_answers() {
        assert!(
            run(&["-help"])
                .unwrap_err()
                .contains("--pyroscopedb.data-path")
        );
        assert_eq!(
            run(&["-version"]).unwrap_err(),
            format!("phlare {}", env!("CARGO_PKG_VERSION"))
        );
    }
}
