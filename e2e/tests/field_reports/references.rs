//! Profiles whose parts do not fit together.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use phlare_e2e::client::{CPU, last_hour};
use phlare_e2e::{Client, Pprof, Server, pprof, shared};
use phlare_proto::google::v1::{Mapping, Profile};
use phlare_proto::querier::v1::SelectMergeProfileRequest;

use super::{cpu_of, metric, work};

/// The profile that SelectMergeProfile makes of a selector.
pub(super) async fn exported(client: &Client, selector: &str) -> anyhow::Result<Profile> {
    let (start, end) = last_hour();
    let request = SelectMergeProfileRequest {
        profile_type_id: CPU.to_owned(),
        label_selector: selector.to_owned(),
        start,
        end,
        ..SelectMergeProfileRequest::default()
    };
    client
        .call("querier.v1.QuerierService/SelectMergeProfile", &request)
        .await
}

/// Opens a profile with `go tool pprof -raw`, where there is Go; the text is what that shows.
pub(super) fn go_tool_pprof(profile: &Profile) -> anyhow::Result<Option<String>> {
    if !shared::runtime("go", &["version"], &[1, 18])? {
        return Ok(None);
    }
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&pprof::gzip(&prost::Message::encode_to_vec(profile))?)?;
    let output = Command::new("go")
        .args(["tool", "pprof", "-raw", "-symbolize=none"])
        .arg(file.path())
        .stdin(Stdio::null())
        .output()?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(
        output.status.success(),
        "go tool pprof cannot open the profile: {err}"
    );
    Ok(Some(out.into_owned()))
}

/// B14.
#[tokio::test(flavor = "multi_thread")]
async fn mappings_are_decoration() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let mut profile = Pprof::cpu();
    for number in 0..7 {
        profile = profile.stack(&["main", &format!("named{number}")], &[1 << number]);
    }
    profile.profile.mapping = [1000, 2000]
        .map(|id| Mapping {
            id,
            ..Mapping::default()
        })
        .to_vec();
    // Indices where ids belong.
    for (number, location) in profile.profile.location.iter_mut().enumerate() {
        location.mapping_id = u64::try_from(number)? % 3;
    }
    client.push(&cpu_of("mappings"), profile.bytes()).await?;
    let graph = client.flame(CPU, "{}").await?;
    ensure!(
        graph.total == 127 && graph.names.iter().any(|name| name == "named6"),
        "{graph:?}"
    );
    let export = exported(&client, "{}").await?;
    go_tool_pprof(&export)?;
    server.stop_quiet(&[]).await
}

/// B14.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_which_nothing_can_be_stored_is_refused_with_its_first_bad_reference()
-> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client()?;
    let mut broken = work(5);
    for sample in &mut broken.profile.sample {
        sample.location_id = vec![4711];
    }
    let reply = client
        .try_push(&cpu_of("broken"), vec![broken.bytes()])
        .await?;
    reply.refused(400, &["location", "4711"])?;
    // What is left of a profile is stored, what is not is counted.
    let mut half = work(5).stack(&["main", "rest"], &[7]);
    half.profile
        .sample
        .first_mut()
        .context("two samples")?
        .location_id = vec![4711];
    client.push(&cpu_of("half"), half.bytes()).await?;
    ensure!(client.total(CPU, "{service_name=\"half\"}").await? == 7);
    ensure!(
        metric(
            &client,
            "phlare_distributor_repairs_total",
            &["broken_sample"]
        )
        .await?
            > 0.0,
        "nothing was counted"
    );
    Ok(())
}

/// B17.
#[tokio::test(flavor = "multi_thread")]
async fn empty_strings_do_not_break_what_is_exported() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let mut profile = Pprof::cpu().stack(&["main", "leaf"], &[9]);
    // "", "cpu", "nanoseconds", "leaf", "main" and two more empty ones, to which names refer.
    profile
        .profile
        .string_table
        .extend([String::new(), String::new()]);
    profile
        .profile
        .function
        .push(phlare_proto::google::v1::Function {
            id: 77,
            name: 5,
            filename: 6,
            ..Default::default()
        });
    let table: Vec<&str> = profile
        .profile
        .string_table
        .iter()
        .map(String::as_str)
        .collect();
    ensure!(
        table == ["", "cpu", "nanoseconds", "leaf", "main", "", ""],
        "{table:?}"
    );
    for function in &mut profile.profile.function {
        function.system_name = 5;
        function.filename = 6;
    }
    client.push(&cpu_of("empty"), profile.bytes()).await?;
    let export = exported(&client, "{}").await?;
    ensure!(
        export.string_table.first().is_some_and(String::is_empty),
        "{:?}",
        export.string_table
    );
    let empty = export
        .string_table
        .iter()
        .filter(|text| text.is_empty())
        .count();
    ensure!(
        empty == 1,
        "{empty} empty strings in {:?}",
        export.string_table
    );
    if let Some(raw) = go_tool_pprof(&export)? {
        ensure!(raw.contains("main") && raw.contains("leaf"), "{raw}");
    }
    ensure!(client.total(CPU, "{}").await? == 9);
    server.stop_quiet(&[]).await
}

/// B17.
#[tokio::test(flavor = "multi_thread")]
async fn a_string_table_without_the_empty_string_is_refused_and_says_so() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client()?;
    for table in [vec!["", "x"], vec!["x", ""], vec!["x"], vec![]] {
        let mut profile = work(5);
        let good = table.first().is_some_and(|first: &&str| first.is_empty());
        if !good {
            profile.profile.string_table = table.iter().map(|&text| text.to_owned()).collect();
        }
        let reply = client
            .try_push(&cpu_of("table"), vec![profile.bytes()])
            .await?;
        if good {
            reply.ok()?;
        } else {
            reply
                .refused(400, &["string_table[0]"])
                .with_context(|| format!("{table:?}"))?;
        }
    }
    ensure!(client.total(CPU, "{}").await? == 5);
    Ok(())
}
