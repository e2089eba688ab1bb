//! `kubernetes diagnose`: what a bug report needs, in an archive. Secrets are never read, and what looks like one elsewhere is
//! taken out before anything is written.

mod archive;
mod collect;
mod redact;

use std::path::PathBuf;

use kube::ResourceExt;

use super::access::Access;
use crate::cli::DiagnoseArgs;
use crate::render::time;
use crate::ui;

use archive::Archive;

/// Collects, writes, and says what is inside.
pub(super) async fn run(access: &Access, args: &DiagnoseArgs, now_ms: i64) -> anyhow::Result<()> {
    let cluster = access.cluster(&args.name).await?;
    let pods = access.pods(&args.name).await?;
    let mut archive = Archive::default();
    let mut problems = Vec::new();
    collect::objects(access, &cluster, &pods, &mut archive, &mut problems).await;
    collect::events(access, &cluster, &mut archive, &mut problems).await;
    collect::of_pods(access, &pods, args.lines, &mut archive, &mut problems).await;
    archive.add("not-collected.txt", problems.join("\n"));
    let stamp = time(now_ms).replace(':', "-");
    let directory = format!("phlare-{}-{stamp}", cluster.name_any());
    let file = args.output.clone();
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{directory}.tar.gz")));
    let size = archive.write(&file, &directory, args.force, now_ms)?;
    let mut table = ui::table(&["bytes", "file"], &[0]);
    for (name, size) in archive.contents() {
        table.add_row([size.to_string(), name.to_owned()]);
    }
    ui::data(&table.trim_fmt());
    if !problems.is_empty() {
        ui::note(&format!(
            "{} things could not be collected; not-collected.txt says why",
            problems.len()
        ));
    }
    ui::note(&format!(
        "{}: {size} bytes. Secrets were not read, and values that look like secrets are {}; names of hosts, tenants and services \
         are in it: look before you pass it on.",
        file.display(),
        redact::REDACTED
    ));
    Ok(())
}
